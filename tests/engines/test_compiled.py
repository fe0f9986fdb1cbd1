"""Compiled graphs: the second process imports what the first one compiled, and says the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crater_ray.engines import compiled, kept
from crater_ray.engines.openvino_engine import OpenVinoEngine
from crater_ray.network import bundle as bundles

pytest.importorskip("openvino")
IMAGES = np.random.default_rng(3).integers(0, 256, (3, 96, 112), np.uint8)


def files(cache: Path) -> list[Path]:
    return sorted(file for file in (cache / compiled.KIND).iterdir())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(kept.ELSEWHERE, str(tmp_path))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "finder"])
def test_a_kept_graph_says_the_same_and_is_not_built_again(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = bundles.load(name)
    first = OpenVinoEngine(network, "f32").score(IMAGES).scores
    [before] = files(cache)

    def built(*_: object) -> None:
        raise AssertionError("it was built again")

    monkeypatch.setattr(OpenVinoEngine, "_graph", built)
    np.testing.assert_array_equal(OpenVinoEngine(network, "f32").score(IMAGES).scores, first)
    with pytest.raises(AssertionError, match="built again"):  # another number of threads is another graph
        OpenVinoEngine(network, "f32", threads=1).score(IMAGES)
    assert files(cache) == [before]


@pytest.mark.slow
def test_a_graph_that_was_damaged_or_is_none_is_compiled_again(cache: Path) -> None:
    network = bundles.load()
    first = OpenVinoEngine(network, "f32").score(IMAGES).scores
    [file] = files(cache)
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    np.testing.assert_array_equal(OpenVinoEngine(network, "f32").score(IMAGES).scores, first)
    assert len(file.read_bytes()) > len(whole) - 100
    file.write_bytes(hashlib.sha256(b"no graph").digest() + b"no graph")
    np.testing.assert_array_equal(OpenVinoEngine(network, "f32").score(IMAGES).scores, first)


def test_other_weights_are_another_graph(cache: Path) -> None:
    network = bundles.load(bundles.STARDUST)
    OpenVinoEngine(network, "f32").score(IMAGES)
    other = replace(network, weights=network.weights | {"conv1/bias": network.weights["conv1/bias"] + 1})
    OpenVinoEngine(other, "f32").score(IMAGES)
    assert len(files(cache)) == 2
