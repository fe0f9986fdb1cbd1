"""Weights as 8-bit numbers: small enough for every processor, near to what they were, and true to their sums."""

from __future__ import annotations

import numpy as np
import pytest

from crater_ray.engines.rounding import LARGEST, rounded

LARGEST_BYTE, LARGEST_SUM = 255, 32_767


@pytest.mark.parametrize("shape", [(16, 8, 3, 3), (16, 48, 1, 1), (16, 4, 8, 2)])
def test_rounded_weights_are_near_and_keep_their_sums(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(1).normal(0.1, 1, shape).astype(np.float32)
    whole, step = rounded(kernel)
    assert np.array_equal(whole, np.round(whole))
    assert 2 * LARGEST_BYTE * np.abs(whole).max() <= LARGEST_SUM
    assert np.abs(whole).max() == LARGEST, "all the room is used"
    error = whole - kernel / step
    assert np.abs(error).max() < 1.5
    assert np.abs(error.sum(axis=(1, 2, 3))).max() <= 0.51
    if shape[2:] == (3, 3):
        nearest = np.round(kernel / step) - kernel / step
        assert np.abs(error.sum(axis=(2, 3))).mean() < 0.5 * np.abs(nearest.sum(axis=(2, 3))).mean()


def test_idle_channels_stay_idle() -> None:
    kernel = np.zeros((2, 3, 3, 3), np.float32)
    kernel[1] = 0.5
    whole, step = rounded(kernel)
    assert not whole[0].any()
    np.testing.assert_allclose(whole * step, kernel, rtol=1e-6)
