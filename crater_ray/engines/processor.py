"""What this machine computes with: instructions of its processor, a GPU."""

from __future__ import annotations

import os
from pathlib import Path

WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of ONEDNN_MAX_CPU_ISA that leave out the instructions for bfloat16."""


def has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA or AMD."""
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
