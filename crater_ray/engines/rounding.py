"""Weights as 8-bit numbers that give the same on every processor."""

from __future__ import annotations

import numpy as np

LARGEST = 64
"""Of a weight, either way. Processors with AVX2 but without VNNI add up two products of a byte and a weight in 16 bits
and saturate there; 2 * 255 * 64 fits. So one of the eight bits stays unused."""


def rounded(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a kernel to whole steps, so that the weights of each channel keep their sum.

    Activations behind ReLU are positive and alike within a kernel: rounding errors that add up to zero mostly cancel,
    and others move all that follows. After rounding to the nearest step those weights that were nearest to a half are
    therefore rounded the other way, first within each spatial kernel, then over all input channels (Guo et al. 2022,
    "SQuant", arXiv 2202.07471).

    Args:
        kernel: (out, in, rows, columns) float32.

    Returns:
        Whole numbers of at most `LARGEST` either way, in the kernel's shape, and the step of each output channel,
        (out, 1, 1, 1); both float32.
    """
    largest = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True)
    step = np.maximum(largest / LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
    exact = (kernel / step).astype(np.float64)
    whole = np.round(exact)
    for groups in (kernel.shape[0] * kernel.shape[1], kernel.shape[0]):
        whole = _keeping_sums(exact.reshape(groups, -1), whole.reshape(groups, -1)).reshape(kernel.shape)
    return whole.astype(np.float32), step


def _keeping_sums(exact: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Move the whole numbers that erred most by one, so that each row's sum is that of the exact ones, to a half."""
    error = whole - exact
    excess = np.round(error.sum(axis=1, keepdims=True))
    order = np.argsort(-error * np.sign(excess), axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return np.asarray(np.clip(whole - np.sign(excess) * (rank < np.abs(excess)), -LARGEST, LARGEST))
