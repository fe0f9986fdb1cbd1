"""What this machine computes with: instructions of its processor, a GPU."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

BELOW_AVX512 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"}
"""Values of ONEDNN_MAX_CPU_ISA that leave out AVX-512, by which oneDNN also computes in bfloat16."""
WITHOUT_BFLOAT16 = BELOW_AVX512 | {"AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of ONEDNN_MAX_CPU_ISA that leave out the instructions for bfloat16."""
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OMP_NUM_THREADS")
"""Environment variables by which people limit what is used of a processor."""


def has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA or AMD."""
    return any(Path("/dev", name).exists() for name in ("nvidia0", "kfd"))


def computes_in_bfloat16() -> bool:
    """Whether this machine's processor has instructions for bfloat16 that oneDNN (in Keras and OpenVINO) may use.

    `ONEDNN_MAX_CPU_ISA` limits them: "CPU dispatcher control" in oneDNN's developer guide.
    """
    if _limit() in WITHOUT_BFLOAT16:
        return False
    flags = _facts()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def refuses_bfloat16() -> bool:
    """Whether TensorFlow would abort here: it takes an AVX-512 processor's word that oneDNN computes in bfloat16, and
    `ONEDNN_MAX_CPU_ISA` keeps oneDNN from every instruction that it could do so with.
    """
    flags = _facts()
    return _limit() in BELOW_AVX512 and ("avx512f" in flags or "avx_ne_convert" in flags)


def _limit() -> str:
    return (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "DEFAULT").upper()


def fingerprint() -> dict[str, Any]:
    """What engines' speed and rounding depend on here: processor, its instructions, cores, limits; JSON values."""
    lines = [line.split(":", 1) for line in _facts().splitlines() if ":" in line]
    facts = {name.strip().lower(): value.strip() for name, value in reversed(lines)}
    instructions = facts.get("flags") or facts.get("features") or ""
    limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
    return {
        "machine": platform.machine(),
        "model": facts.get("model name") or facts.get("cpu part") or platform.processor(),
        "instructions": hashlib.sha256(instructions.encode()).hexdigest()[:16],
        "cores": cores(),
        "limits": limits,
    }


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _facts() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
