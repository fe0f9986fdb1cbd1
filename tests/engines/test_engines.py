"""Which engine `auto` stands for, and bfloat16 beside float32."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crater_ray.engines import processor as machine
from crater_ray.engines.choice import resolve
from crater_ray.engines.keras_engine import SHAPES, KerasEngine
from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.engines.registry import create
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle

GOOD = {"keras_bf16": {"kept_share": 0.998}, "openvino_int8": {"kept_share": 0.996, "ranges": {"conv1": 1.0}}}


@pytest.fixture
def bundle(untrained: Path) -> Bundle:
    return bundles.load(untrained)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with bfloat16 and without GPU, whatever this one is."""
    monkeypatch.setattr(machine, "computes_in_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_auto_is_bfloat16_where_the_card_allows_it(processor: None, bundle: Bundle) -> None:
    assert resolve("auto", bundle) == "keras"
    assert resolve("auto", replace(bundle, figures=GOOD)) == "keras-bf16"
    worse = replace(bundle, figures={"keras_bf16": {"kept_share": 0.99}})
    assert resolve("auto", worse) == "keras"


def test_auto_behind_a_screen_is_openvino_where_the_card_allows_it(processor: None, bundle: Bundle) -> None:
    installed = importlib.util.find_spec("openvino") is not None
    assert resolve("auto", replace(bundle, figures=GOOD), screened=True) == ("openvino" if installed else "keras-bf16")
    assert resolve("auto", bundle, screened=True) == "keras"


@pytest.mark.parametrize("what", ["gpu", "cluster", "processor"])
def test_auto_is_float32_elsewhere(processor: None, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    match what:
        case "gpu":
            monkeypatch.setattr(machine, "has_gpu", lambda: True)
        case "cluster":
            monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        case "processor":
            monkeypatch.setattr(machine, "computes_in_bfloat16", lambda: False)
    assert resolve("auto", replace(bundle, figures=GOOD)) == "keras"


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"keras-bf16.*received: 'keras-fp8'"):
        resolve("keras-fp8")


def test_bfloat16_says_nearly_what_float32_says(bundle: Bundle) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 100, 120), np.uint8)
    exact, rounded = create("keras", bundle).score(images), create("keras-bf16", bundle).score(images)
    assert rounded.scores.dtype == rounded.peaks.dtype == np.float32
    assert 0 < np.abs(exact.peaks - rounded.peaks).max() < 0.05 * exact.peaks.max()
    assert np.abs(exact.scores - rounded.scores).max() < 0.02


def test_close_calls_are_decided_in_float32(bundle: Bundle) -> None:
    images = np.random.default_rng(2).integers(0, 256, (6, 100, 120), np.uint8)
    exact = create("keras", bundle).score(images).scores
    plain = create("keras-bf16", bundle).score(images).scores
    threshold = float(np.sort(exact)[2])
    within = float(np.abs(plain - threshold).max()) / 2
    careful = replace(bundle, figures={"keras_bf16": {"confirm": within}})
    engine = create("keras-bf16", careful, threshold=threshold)
    said = engine.score(images).scores
    close = np.abs(plain - threshold) <= within
    assert 0 < close.sum() < 6
    np.testing.assert_allclose(said[close], exact[close], atol=1e-6)
    np.testing.assert_array_equal(said[~close], plain[~close])
    assert "float32" in engine.device


def test_a_backend_that_compiles_is_asked_for_few_numbers_of_images(bundle: Bundle) -> None:
    """JAX takes seconds for each new number on a GPU; what it was filled up with has no part in the answer."""
    made = KerasEngine(bundle)
    images = np.random.default_rng(3).integers(0, 255, (40, 100, 120), np.uint8)
    counts = (1, 5, 16, 17, 40)
    plain = [made.score(images[:count]) for count in counts]
    asked: set[int] = set()
    forward = made._forward

    def watched(some: np.ndarray) -> dict[str, Any]:
        asked.add(len(some))
        return forward(some)

    made._forward, made._compiles = watched, True
    for count, wanted in zip(counts, plain, strict=True):
        said = made.score(images[:count])
        assert said.scores.shape == (count,)
        assert np.allclose(said.scores, wanted.scores, atol=1e-5)
        assert np.array_equal(said.positions, wanted.positions)
    assert len(asked) <= SHAPES


@pytest.mark.parametrize(
    ("limit", "expected"), [("", True), ("default", True), ("AVX512_CORE_BF16", True), ("AVX2", False), ("avx2", False)]
)
def test_bfloat16_is_left_out_where_onednn_may_not_use_it(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: bool
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "flags : avx2 avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert computes_in_bfloat16() is expected
