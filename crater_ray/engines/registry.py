"""Engines: a bundle in, a function from images to scores and evidence out. One interface, several ways to compute."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from crater_ray.engines.base import Engine
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle

NAMES = ("auto", "keras", "keras-bf16", "openvino", "openvino-bf16", "openvino-float", "stand-in")

EXACT = {"keras-bf16": "keras", "openvino": "openvino-float", "openvino-bf16": "openvino-float"}
"""The float32 engine that confirms the close calls of each rounding one."""
ENTRIES = {"keras-bf16": "keras_bf16", "openvino": "openvino_int8", "openvino-bf16": "openvino_bf16"}
"""Where in the card's figures stands what was measured of each."""

WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of ONEDNN_MAX_CPU_ISA that leave out the instructions for bfloat16."""

KEPT_SHARE = 0.995
"""Share of float32's candidates that an engine must have been measured to keep, to be chosen unasked."""


def resolve(name: str, bundle: Bundle | None = None, *, screened: bool = False, cluster: str | None = None) -> str:
    """The engine that a name stands for.

    `auto` is `keras-bf16` where this machine's processor computes in bfloat16 and has no GPU beside it, else, and on
    clusters, `keras`. With a screen it is `openvino`, if that is installed: few images reach the full network, and
    those should cost little. Either is chosen only if the bundle's card says that it was measured to keep
    `KEPT_SHARE` of the candidates.

    Args:
        name: as the user gives it.
        bundle: the network; checked for what the engine needs of it.
        screened: whether a screen goes before it.
        cluster: address of a Ray cluster, whose processors are not known here; RAY_ADDRESS when None.

    Raises:
        UsageError: there is no such engine, what it needs is not installed, or not in the bundle.
    """
    if name not in NAMES:
        raise UsageError(f"--engine must be one of {', '.join(NAMES)}; received: {name!r}")
    if name == "auto":
        elsewhere = bool(cluster or os.environ.get("RAY_ADDRESS"))
        return "keras" if bundle is None or elsewhere or _has_gpu() else _best(bundle, screened)
    if name.startswith("openvino"):
        from crater_ray.engines.openvino_engine import NUMBERS, card_ranges, require_openvino

        require_openvino()
        if bundle is not None and NUMBERS[name] == "int8":
            card_ranges(bundle)
    return name


def _best(bundle: Bundle, screened: bool) -> str:
    if screened and _agrees(bundle, "openvino_int8") and importlib.util.find_spec("openvino"):
        return "openvino"
    tensorflow = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"
    if tensorflow and _agrees(bundle, "keras_bf16") and computes_in_bfloat16():
        return "keras-bf16"
    return "keras"


def _agrees(bundle: Bundle, entry: str) -> bool:
    """Whether the card says that this way of computing keeps the candidates; `python -m benchmarks agreement`."""
    measured = bundle.figures.get(entry)
    return isinstance(measured, Mapping) and float(measured.get("kept_share", 0.0)) >= KEPT_SHARE


def _has_gpu() -> bool:
    return any(Path("/dev", name).exists() for name in ("nvidia0", "kfd"))


def computes_in_bfloat16() -> bool:
    """Whether this machine's processor has instructions for bfloat16 that oneDNN (in Keras and OpenVINO) may use.

    `ONEDNN_MAX_CPU_ISA` limits them: "CPU dispatcher control" in oneDNN's developer guide.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT"
    if limit.upper() in WITHOUT_BFLOAT16:
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def create(name: str, bundle: Bundle, threads: int | None = None, threshold: float | None = None) -> Engine:
    """Make the engine of that name ready on this process's device.

    Args:
        name: as `resolve` gives it.
        bundle: the network.
        threads: processor threads to use; all when None. Ignored on GPUs.
        threshold: from which score an image is a candidate; the bundle's typical one when None. Where the card says
            so (`confirm`), scores near it are computed again in float32.
    """
    made = _create(name, bundle, threads)
    within = confirm_within(name, bundle)
    if not within:
        return made
    from crater_ray.engines.confirm import Confirming

    threshold = bundle.typical_threshold if threshold is None else threshold
    return Confirming(made, lambda: _create(EXACT[name], bundle, threads), threshold, within)


def confirm_within(name: str, bundle: Bundle) -> float:
    """How near to the threshold the card wants an engine's scores confirmed; 0 for not at all."""
    measured = bundle.figures.get(ENTRIES.get(name, ""))
    return float(measured.get("confirm") or 0.0) if isinstance(measured, Mapping) else 0.0


def _create(name: str, bundle: Bundle, threads: int | None) -> Engine:
    if name in ("keras", "keras-bf16"):
        from crater_ray.engines.keras_engine import KerasEngine

        return KerasEngine(bundle, threads, "mixed_bfloat16" if name == "keras-bf16" else "float32")
    if name.startswith("openvino"):
        from crater_ray.engines.openvino_engine import NUMBERS, OpenVinoEngine

        return OpenVinoEngine(bundle, NUMBERS[name], threads)
    if name == "stand-in":
        from crater_ray.engines.stand_in import StandIn

        return StandIn()
    raise UsageError(f"There is no engine {name!r}.")
