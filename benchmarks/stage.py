"""One stage of the scan alone, in a fresh process: milliseconds per image, elapsed and of processor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.storage.access import Access

WARM_UP = 8


def get(listing: str, endpoint_url: str | None) -> dict[str, float]:
    """Fetch every image as the loader does, and drop it."""
    from crater_ray.images.fetch import fetch

    uris = _uris(listing)
    access = Access(endpoint_url, anonymous=True)

    def drain(some: list[str]) -> None:
        for data in fetch(some, access):
            if not isinstance(data, bytes | memoryview):
                raise RuntimeError(f"an image could not be read: {data}")

    drain(uris[:WARM_UP])
    return _timed(lambda: drain(uris), len(uris))


def decode_all(listing: str, endpoint_url: str | None) -> dict[str, float]:
    """Decode images that are already in memory, one thread."""
    from crater_ray.images.decode import decode

    files = _bytes(_uris(listing), endpoint_url)
    for data in files[:WARM_UP]:
        decode(data)
    return _timed(lambda: [decode(data) for data in files], len(files))


def quality_of_all(listing: str, endpoint_url: str | None) -> dict[str, float]:
    """Measure the quality of images that are decoded already."""
    from crater_ray.images.quality import measure

    images = _decoded(listing, endpoint_url)
    return _timed(lambda: [measure(pixels) for pixels in images], len(images))


def bars_of_all(listing: str, endpoint_url: str | None) -> dict[str, float]:
    """Look for an information bar in images that are decoded already."""
    from crater_ray.images.bar import find_bar

    images = _decoded(listing, endpoint_url)
    return _timed(lambda: [find_bar(pixels) for pixels in images], len(images))


def load_blocks(listing: str, endpoint_url: str | None) -> dict[str, float]:
    """Get, decode and pack, block by block, as a loader task does."""
    from crater_ray.scanning.loader import BLOCK_IMAGES, load

    uris = _uris(listing)
    access = Access(endpoint_url, anonymous=True)
    load(uris[:WARM_UP], access)

    def all_blocks() -> None:
        for start in range(0, len(uris), BLOCK_IMAGES):
            load(uris[start : start + BLOCK_IMAGES], access)

    return _timed(all_blocks, len(uris))


def forward(listing: str, endpoint_url: str | None, engine: str, bundle: str) -> dict[str, Any]:
    """The engine alone over blocks of decoded images in memory."""
    from benchmarks.options import split_engine
    from benchmarks.screened import screened_scores
    from crater_ray.engines.registry import create
    from crater_ray.network.bundle import load as load_bundle
    from crater_ray.scanning.loader import BLOCK_IMAGES

    images = _decoded(listing, endpoint_url)
    blocks = [np.stack(images[start : start + BLOCK_IMAGES]) for start in range(0, len(images), BLOCK_IMAGES)]
    name, screened = split_engine(engine)
    if screened:
        score: Callable[[np.ndarray], object] = screened_scores(load_bundle(bundle), name)
        device = f"{name} behind the screen"
    else:
        made = create(name, load_bundle(bundle))
        score, device = made.score, made.device
    score(blocks[0])
    score(blocks[-1])
    return {**_timed(lambda: [score(block) for block in blocks], len(images)), "device": device}


def publish(images: int, folder: str) -> dict[str, float]:
    """Write a part of so many rows to a local folder, durably."""
    import pyarrow as pa

    from crater_ray.runs import part
    from crater_ray.runs.columns import SCHEMA
    from crater_ray.storage.folder import open_folder

    keys = [f"fm_-{number:06d}_-{number:06d}" for number in range(images)]
    scores = np.random.default_rng(0).random(images, np.float32)
    found = {"status": "ok", "height": 384, "width": 512, "bundle": "0123456789ab", "stage": "full"}
    rows = pa.Table.from_pylist(
        [
            found | {"key": key, "uri": f"s3://bucket/real/{key}/{key}-001.jpg", "score": score}
            for key, score in zip(keys, scores.tolist(), strict=True)
        ],
        schema=SCHEMA,
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        target = open_folder(Path(scratch, "run"))

        def once(shard: int) -> None:
            data, _ = part.encode(rows, "benchmark", shard)
            target.publish(part.name(shard), data)

        once(0)
        parts = 5

        def several() -> None:
            for shard in range(1, parts + 1):
                once(shard)

        return _timed(several, parts * images)


def _timed(work: Callable[[], object], images: int) -> dict[str, float]:
    elapsed, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "elapsed": 1000 * (time.perf_counter() - elapsed) / images,
        "processor": 1000 * (time.process_time() - processor) / images,
    }


def _uris(listing: str) -> list[str]:
    lines = Path(listing).read_text(encoding="utf-8").splitlines()
    return [line if line.startswith("s3://") else f"file://{line}" for line in lines]


def _bytes(uris: list[str], endpoint_url: str | None) -> list[bytes]:
    from crater_ray.images.fetch import fetch

    return [bytes(data) for data in fetch(uris, Access(endpoint_url, anonymous=True))]  # type: ignore[arg-type]


def _decoded(listing: str, endpoint_url: str | None) -> list[np.ndarray]:
    from crater_ray.images.decode import decode

    return [np.asarray(decode(data)) for data in _bytes(_uris(listing), endpoint_url)]
