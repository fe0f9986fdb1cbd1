"""Pruning: the network without its inactive filters gives the same answers for less work.

A filter is inactive when its kernel is zero and its bias not positive: behind ReLU it gives nothing, wherever it looks.
Pruning (`python -m training fit --teacher ... --filters ...`) makes filters inactive. The bundle keeps all 216,465
parameters, so that any copy of the network can hold them; the engines leave out what does nothing.
"""

from __future__ import annotations

import numpy as np

from crater_ray.network.stardust import CONVOLUTIONS, FILTERS, Weights


def drop_inactive(weights: Weights) -> Weights:
    """The same network without inactive filters: the arrays of `conv1` to `conv7` may be smaller.

    The last convolution keeps all its filters, and each convolution at least one: their maxima are the evidence.
    """
    small = dict(weights)
    for number in range(1, len(CONVOLUTIONS)):
        kernel, bias, after = f"conv{number}/kernel", f"conv{number}/bias", f"conv{number + 1}/kernel"
        active = np.any(small[kernel] != 0, axis=(0, 1, 2)) | (small[bias] > 0)
        active[0] |= not active.any()
        small[kernel], small[bias] = small[kernel][..., active], small[bias][active]
        small[after] = small[after][:, :, active]
    return small


def restore_inactive(weights: Weights) -> Weights:
    """The network with all its filters: those that `weights` lacks become inactive ones, behind the others."""
    full = dict(weights)
    for number in range(1, len(CONVOLUTIONS)):
        kernel, bias, after = f"conv{number}/kernel", f"conv{number}/bias", f"conv{number + 1}/kernel"
        more = FILTERS[number - 1] - full[kernel].shape[3]
        full[kernel] = np.pad(full[kernel], ((0, 0), (0, 0), (0, 0), (0, more)))
        full[bias] = np.pad(full[bias], (0, more))
        full[after] = np.pad(full[after], ((0, 0), (0, 0), (0, more), (0, 0)))
    return full


def filter_counts(weights: Weights) -> tuple[int, ...]:
    """How many filters each convolution has in these arrays."""
    return tuple(weights[f"conv{number}/kernel"].shape[3] for number in range(1, len(CONVOLUTIONS) + 1))
