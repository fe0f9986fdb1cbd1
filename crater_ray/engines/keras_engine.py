"""The network itself through Keras, in float32 or bfloat16: one compiled function, fed with bytes, never `predict`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np

from crater_ray.engines.base import AT_ONCE, Kind
from crater_ray.engines.kept import folder
from crater_ray.engines.processor import has_gpu, refuses_bfloat16
from crater_ray.network.bundle import Bundle
from crater_ray.network.evidence import Answer, Evidence, Maps
from crater_ray.network.finder import filled_up
from crater_ray.network.stardust import TILE, unpooled

CPU_BATCH = 8
GPU_BATCH = 128
"""Images of the trained size per call; larger images are taken fewer at a time, so that memory stays bounded."""
SHAPES = 2
"""On JAX, which compiles for each number of images, for some 25 s on an H100, calls have one of so many numbers."""


class KerasEngine:
    """Runs a bundle on this process's GPU, or on its processor when there is none.

    Args:
        bundle: the network.
        threads: processor threads for TensorFlow's own pools; all when None.
        dtype: Keras policy of the convolutions. In place of `mixed_bfloat16`, `float32` where TensorFlow would abort;
            `device` says it.
    """

    stage = "full"

    def __init__(self, bundle: Bundle, threads: int | None = None, dtype: str = "float32") -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        backend = keras.backend.backend()
        if backend == "tensorflow":
            use_threads(threads)
            if dtype == "mixed_bfloat16" and refuses_bfloat16() and not has_gpu():
                dtype = "float32"
        with _on_processor(backend):
            self._model = bundle.model(evidence=True, dtype=dtype, compact=True)
        self._ready = partial(_tensorflow, threads=threads) if backend == "tensorflow" else _READY.get(backend, _eager)
        self._forward, self.device, self.kind = self._ready(self._model)
        self._unpooled: Forward | None = None
        self._making = threading.Lock()
        if dtype != "float32":
            self.device += f", {dtype.removeprefix('mixed_')}"
        self.batch = CPU_BATCH if self.kind == "cpu" else GPU_BATCH
        self._compiles = backend == "jax"
        self._weights, self._maps = bundle.weights, bundle.gives_maps

    def score(self, images: np.ndarray) -> Answer:
        _, height, width = images.shape
        if self._maps:
            return Maps.of(self._answers(self._forward, filled_up(images, self._weights))["maps"], height, width)
        said = self._answers(self._forward, images)
        return Evidence(said["score"], said["peaks"], said["positions"])

    def features(self, images: np.ndarray) -> np.ndarray:
        """The last feature map; see `crater_ray.engines.base.FeatureEngine`."""
        with self._making:
            if self._unpooled is None:
                self._unpooled = self._ready(unpooled(self._model))[0]
        return self._answers(self._unpooled, images)["features"]

    def _answers(self, forward: Forward, images: np.ndarray) -> dict[str, np.ndarray]:
        n, height, width = images.shape
        batch = int(np.clip(self.batch * TILE[0] * TILE[1] // (height * width), 1, 4 * self.batch))
        answers = []
        for start in range(0, n, batch):
            chunk = images[start : start + batch]
            missing = self._missing(len(chunk), batch, n)
            if missing:
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], missing, axis=0)])
            # Not [..., None]: JAX takes that axis's stride of 0 for another layout, and copies pixel by pixel.
            answers.append(forward(chunk.reshape(*chunk.shape, 1)))
        return {name: np.concatenate([np.asarray(answer[name]) for answer in answers])[:n] for name in answers[0]}

    def _missing(self, images: int, batch: int, n: int) -> int:
        """How many images to fill a call up with, so that nothing is compiled or planned for each number of them."""
        if n > batch:
            return batch - images
        return -images % max(1, batch // SHAPES) if self._compiles else 0


Forward = Callable[[np.ndarray], dict[str, Any]]
Ready = tuple[Forward, str, Kind]
"""The compiled network, what it runs on in words, and what that is."""


def use_threads(threads: int | None) -> None:
    """Make TensorFlow's pools that large, and have it take a GPU's memory as it is needed."""
    import tensorflow as tf

    if threads:
        with suppress(RuntimeError):  # TensorFlow may already run in this process, with the pools it was given first
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(AT_ONCE)
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # likewise
            tf.config.experimental.set_memory_growth(gpu, True)


def _on_processor(backend: str) -> AbstractContextManager[object]:
    """Where JAX should make a model: for a GPU it would compile a program for the weights of each layer."""
    if backend == "jax":
        import jax

        with suppress(RuntimeError):  # JAX may have been told to know no other device than the GPU
            made_there: AbstractContextManager[object] = jax.default_device(jax.devices("cpu")[0])
            return made_there
    return nullcontext()


def _tensorflow(model: Any, threads: int | None = None) -> Ready:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8)])  # type: ignore[untyped-decorator, misc]
    def forward(images: Any) -> Any:
        return model(images, training=False)

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return forward, str(name), "gpu"
    return forward, f"CPU, {threads or os.cpu_count()} threads", "cpu"


def _jax(model: Any) -> Ready:
    import jax

    place = folder("jax")
    if place is not None and jax.config.jax_compilation_cache_dir is None:  # nor JAX_COMPILATION_CACHE_DIR
        jax.config.update("jax_compilation_cache_dir", str(place))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    device = jax.devices()[0]
    variables = [variable.value for variable in model.trainable_variables]
    trainable, fixed = jax.device_put((variables, [one.value for one in model.non_trainable_variables]), device)

    @jax.jit  # type: ignore[untyped-decorator]
    def forward(images: Any) -> Any:
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    if device.platform == "cpu":
        return forward, "CPU, jax", "cpu"
    return forward, str(device.device_kind), "gpu"


def _eager(model: Any) -> Ready:
    import keras

    def forward(images: np.ndarray) -> dict[str, Any]:
        answer = model(images, training=False)
        return {name: keras.ops.convert_to_numpy(value) for name, value in answer.items()}

    device = str(next(iter(model.variables)).value.device)  # such as `cuda:0`
    name = keras.backend.backend()
    return (forward, f"CPU, {name}", "cpu") if device.startswith("cpu") else (forward, f"{device}, {name}", "gpu")


_READY: dict[str, Callable[[Any], Ready]] = {"tensorflow": _tensorflow, "jax": _jax}
"""By Keras backend; others compute without compiling."""
