"""Inactive filters are left out and nothing changes: not the answers of any engine, nor what a bundle holds."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from crater_ray.engines.registry import create
from crater_ray.network.bundle import Bundle
from crater_ray.network.pruning import drop_inactive, filter_counts, restore_inactive
from crater_ray.network.stardust import FILTERS, PARAMETERS, Weights, build, read_weights

KEPT = (5, 7, 64, 3, 64, 9, 11, 32)


@pytest.fixture(scope="module")
def pruned() -> Bundle:
    """A network in which only `KEPT` filters do something, in random places."""
    rng = np.random.default_rng(0)
    weights = read_weights(build("sigma-clip"))
    for number, (heard, few) in enumerate(zip((1, *KEPT), KEPT, strict=False), start=1):
        kernel, bias = weights[f"conv{number}/kernel"], weights[f"conv{number}/bias"]
        kernel[:] = rng.normal(0, np.sqrt(2 / 9 / heard), kernel.shape)  # enough for images to differ
        bias[:] = rng.normal(0, 0.1, bias.shape)
        inactive = rng.permutation(FILTERS[number - 1])[few:]
        weights[f"conv{number}/kernel"][..., inactive] = 0
        weights[f"conv{number}/bias"][inactive] = -np.abs(weights[f"conv{number}/bias"][inactive])
    return Bundle(weights, "sigma-clip", 0.5)


def test_idle_filters_are_left_out(pruned: Bundle) -> None:
    assert filter_counts(drop_inactive(pruned.weights)) == KEPT
    assert filter_counts(pruned.weights) == FILTERS


def test_made_whole_again_it_has_all_parameters(pruned: Bundle) -> None:
    again = restore_inactive(drop_inactive(pruned.weights))
    assert sum(array.size for array in again.values()) == PARAMETERS
    assert filter_counts(drop_inactive(again)) == KEPT
    assert np.allclose(peaks(replace(pruned, weights=again)), peaks(pruned), rtol=1e-4, atol=1e-5)


def test_a_constant_filter_is_not_inactive(pruned: Bundle) -> None:
    weights = {name: array.copy() for name, array in pruned.weights.items()}
    inactive = int(np.flatnonzero(~np.any(weights["conv2/kernel"] != 0, axis=(0, 1, 2)))[0])
    weights["conv2/bias"][inactive] = 0.5
    assert filter_counts(drop_inactive(weights))[1] == KEPT[1] + 1


def test_a_convolution_keeps_one_filter_at_least(pruned: Bundle) -> None:
    weights: Weights = {name: array.copy() for name, array in pruned.weights.items()}
    weights["conv4/kernel"][:] = 0
    weights["conv4/bias"][:] = -1
    assert filter_counts(drop_inactive(weights))[3] == 1
    constant = replace(pruned, weights=weights)
    assert np.allclose(peaks(constant), peaks(constant, "keras"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ["keras", "openvino-float"])
def test_every_engine_says_what_the_whole_network_says(pruned: Bundle, engine: str) -> None:
    if engine.startswith("openvino") and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    assert np.ptp(peaks(pruned), axis=0).max() > 0.05
    assert np.allclose(peaks(pruned, engine), peaks(pruned), rtol=1e-4, atol=1e-5)


def peaks(bundle: Bundle, engine: str | None = None) -> np.ndarray:
    """What is found in eight images, (8, 32): by the whole network as Keras has it, or by an engine."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (8, 14, 16), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 8, 8), np.uint8))
    if engine is None:
        return np.asarray(bundle.model(evidence=True)(images[..., None])["peaks"])
    return create(engine, bundle).score(images).peaks
