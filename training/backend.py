"""Starting Keras: how many threads, which precision, quietly; before anything imports it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.errors import UsageError

if TYPE_CHECKING:
    import keras
    import numpy as np

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def start(threads: int = 0) -> None:
    """Prepare this process for Keras. Must be called before Keras is imported.

    Args:
        threads: how many cores to use; 0 for all.

    Raises:
        UsageError: the number is negative.
    """
    if threads < 0:
        raise UsageError(f"--threads must be 0 (all) or more; received: {threads}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not threads:
        return
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)
    elif hasattr(os, "sched_setaffinity"):
        # JAX has no setting for this: it takes as many threads as it sees cores.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def policy(precision: str) -> str:
    """The Keras policy for `--precision`: `auto` takes bfloat16 where the processor or a GPU computes in it.

    Raises:
        UsageError: there is no such precision.
    """
    if precision == "auto":
        return "mixed_bfloat16" if computes_in_bfloat16() else "float32"
    if precision not in PRECISIONS:
        raise UsageError(f"--precision must be auto or one of {', '.join(PRECISIONS)}; received: {precision!r}")
    return precision


def compiles() -> bool:
    """Whether Keras models are to be compiled: only on JAX, as TensorFlow's own kernels beat its compiler on CPUs."""
    import keras

    return bool(keras.backend.backend() == "jax")


def complete(model: keras.Model, images: np.ndarray, targets: dict[str, np.ndarray] | np.ndarray) -> None:
    """Make what a compiled model counts its losses with, before its first batch.

    Made in the middle of its first step, TensorFlow would trace that step, the most of a short fit, a second time.

    Args:
        model: compiled.
        images, targets: a batch; only shapes and types matter.
    """
    model._symbolic_build(data_batch=(images, targets, None))
