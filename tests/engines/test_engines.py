"""Which engine `auto` stands for, and bfloat16 beside float32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crater_ray.engines import processor as machine
from crater_ray.engines.choice import Choice, choose, resolve
from crater_ray.engines.keras_engine import SHAPES, KerasEngine
from crater_ray.engines.processor import computes_in_bfloat16, refuses_bfloat16
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


def test_auto_is_float32_where_the_card_allows_nothing_else(processor: None, bundle: Bundle) -> None:
    """By OpenVINO, which needs no trial then."""
    made = choose("auto", bundle)
    assert made.engine == "openvino-float"
    assert "99.5%" in str(made.why)
    worse = {name: figures | {"kept_share": 0.99} for name, figures in GOOD.items()}
    assert choose("auto", replace(bundle, figures=worse)) == made


def test_auto_without_openvino(processor: None, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert resolve("auto", replace(bundle, figures=GOOD)) == "keras-bf16"
    assert resolve("auto", bundle) == "keras"
    monkeypatch.setattr(machine, "computes_in_bfloat16", lambda: False)
    assert choose("auto", replace(bundle, figures=GOOD)) == Choice("keras", "openvino is not installed")


@pytest.mark.parametrize("what", ["GPU", "cluster"])
def test_auto_is_keras_on_gpus_and_clusters(
    processor: None, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "GPU":
        monkeypatch.setattr(machine, "has_gpu", lambda: True)
    else:
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    made = choose("auto", replace(bundle, figures=GOOD))
    assert made.engine == "keras"
    assert what in str(made.why)


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(UsageError, match=r"keras-bf16.*received: 'keras-fp8'"):
        resolve("keras-fp8")


def test_bfloat16_says_nearly_what_float32_says(bundle: Bundle) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, 100, 120), np.uint8)
    engine = create("keras-bf16", bundle)
    exact, rounded = create("keras", bundle).score(images), engine.score(images)
    assert rounded.scores.dtype == rounded.peaks.dtype == np.float32
    difference = np.abs(exact.peaks - rounded.peaks).max()
    assert difference < 0.05 * exact.peaks.max()
    assert (difference > 0) == ("bfloat16" in engine.device)  # it is float32 where TensorFlow would abort
    assert np.abs(exact.scores - rounded.scores).max() < 0.02


@pytest.mark.parametrize(
    ("flags", "limit", "expected"),
    [
        ("avx2", "AVX2", False),  # TensorFlow knows that oneDNN cannot
        ("avx2 avx512f", "AVX2", True),
        ("avx2 avx_ne_convert", "avx2", True),
        ("avx2 avx512f avx512_bf16", "AVX512_CORE", False),
        ("avx2 avx512f avx512_bf16", "", False),
    ],
)
def test_where_tensorflow_would_abort_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, flags: str, limit: str, expected: bool
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags}")
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert refuses_bfloat16() is expected


@pytest.mark.slow
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


@pytest.mark.slow
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
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert computes_in_bfloat16() is expected
