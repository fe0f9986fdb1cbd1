"""The yardstick: a plain loop in one process that reads, decodes and computes, one batch after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import split_engine
from crater_ray.images.decode import decode
from crater_ray.network.bundle import load
from crater_ray.storage.access import Access
from crater_ray.storage.s3 import split_s3
from crater_ray.storage.s3_clients import bulk_store

Score = Callable[[np.ndarray], Any]


def timed_loop(listing: str, engine: str, bundle: str, endpoint_url: str | None) -> dict[str, Any]:
    """Score every image of a list; meant for a fresh process.

    Args:
        listing: a file with one path or `s3://` address a line.
        engine: `keras` is written out here as anyone would (a `tf.function` around the model that gives scores); any
            other is asked for its scores.
        bundle: folder of the network.
        endpoint_url: of the S3 server.

    Returns:
        images and seconds of steady state: from the end of the first batch to the end of the last, the first batch
        (compilation, first connection) not counted; `batch`, images at a time; `scores_sum`, to compare.
    """
    addresses = Path(listing).read_text(encoding="utf-8").splitlines()
    score, batch = _score(engine, bundle)
    started = None
    total = 0.0
    for images, count in _batches(_read(addresses, endpoint_url), batch):
        total += float(np.sum(score(images)[:count]))
        if started is None:
            started = time.monotonic()
    ended = time.monotonic()
    counted = len(addresses) - min(batch, len(addresses))
    return {"images": counted, "seconds": ended - (started or ended), "batch": batch, "scores_sum": total}


def _read(addresses: list[str], endpoint_url: str | None) -> Iterator[np.ndarray]:
    import obstore

    access = Access(endpoint_url, anonymous=True)
    for address in addresses:
        if address.startswith("s3://"):
            bucket, key = split_s3(address)
            data: Any = memoryview(obstore.get(bulk_store(bucket, access), key).bytes())
        else:
            data = Path(address).read_bytes()
        pixels = decode(data)
        if not isinstance(pixels, np.ndarray):
            raise RuntimeError(f"{address}: {pixels.reason}")
        yield pixels


def _batches(images: Iterator[np.ndarray], batch: int) -> Iterator[tuple[np.ndarray, int]]:
    """Stacks of `batch` images and how many of them count; the last one is filled up with copies."""
    held: list[np.ndarray] = []
    for image in images:
        held.append(image)
        if len(held) == batch:
            yield np.stack(held), batch
            held = []
    if held:
        yield np.stack(held + held[-1:] * (batch - len(held))), len(held)


def _score(engine: str, bundle: str) -> tuple[Score, int]:
    from benchmarks.screened import screened_scores
    from crater_ray.engines.registry import create
    from crater_ray.scanning.loader import BLOCK_IMAGES

    network = load(bundle)
    name, screened = split_engine(engine)
    if screened:
        return screened_scores(network, name), BLOCK_IMAGES
    if engine not in ("keras", "keras-bf16"):
        made = create(engine, network)
        return lambda images: made.score(images).scores, BLOCK_IMAGES

    import keras

    from crater_ray.engines.keras_engine import CPU_BATCH, GPU_BATCH

    model = network.model(dtype="float32" if engine == "keras" else "mixed_bfloat16", compact=True)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        compiled: Any = tf.function(lambda images: model(images, training=False))
        batch = GPU_BATCH if tf.config.list_physical_devices("GPU") else CPU_BATCH
        return lambda images: compiled(tf.constant(images[..., None])).numpy()[:, 0], batch
    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(lambda images: model(images, training=False))
        batch = CPU_BATCH if jax.default_backend() == "cpu" else GPU_BATCH
        return lambda images: np.asarray(compiled(images.reshape(*images.shape, 1)))[:, 0], batch
    return lambda images: np.asarray(model(images[..., None], training=False))[:, 0], CPU_BATCH
