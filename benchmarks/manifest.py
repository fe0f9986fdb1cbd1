"""The manifest of millions of keys: built from a simulated listing, sharded and written; seconds and memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import typer

from benchmarks import child, options
from benchmarks.record import Record, spread

PAGE = 1_000
"""Keys per page of a listing, as S3 gives them."""

MEANING = (
    "Pages of an S3 listing go through the same code as a real one's; only the network is missing. Build: listing to "
    "sorted, sharded table. Write: to Parquet. Read: one shard of the written file. Peak: of the whole fresh process."
)


def manifest(
    keys: Annotated[int, typer.Option("--keys", metavar="N", min=1, help="Keys listed.")] = 2_000_000,
    repeats: options.Repeats = 3,
    json: options.Json = None,
) -> None:
    """Seconds and peak memory for the manifest of two million keys."""
    record = Record("manifest", {"keys": keys, "repeats": repeats})
    runs = [child.run("benchmarks.manifest:one_manifest", keys=keys) for _ in range(repeats)]
    names = ("build_seconds", "write_seconds", "total_seconds", "read_shard_seconds", "peak_mib")
    figures = {name: spread([run[name] for run in runs]) for name in names}
    record.figures = {"meaning": MEANING, **figures, "file_mib": runs[0]["file_mib"], "shards": runs[0]["shards"]}
    record.write(json)
    record.show(
        f"manifest of {keys:,} keys",
        ("step", "median", "min", "max"),
        [(name, *(f"{figure[part]:,.2f}" for part in ("median", "min", "max"))) for name, figure in figures.items()],
        MEANING,
    )


def one_manifest(keys: int) -> dict[str, Any]:
    """Make one manifest in this process, meant for a fresh one; the processor is all that limits it."""
    import resource

    from crater_ray.images.listing import open_archive
    from crater_ray.runs import manifest as manifest_file
    from crater_ray.storage.access import Access

    class Paginator:
        def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
            return listing_pages(keys)

    class Client:
        def get_paginator(self, _: str) -> Paginator:
            return Paginator()

    with tempfile.TemporaryDirectory(prefix="crater-ray-manifest-") as scratch:
        path = Path(scratch, "manifest.parquet")
        started = time.perf_counter()
        with patch("crater_ray.storage.s3.s3_client", lambda access: Client()):
            table, _ = manifest_file.build(open_archive("s3://bucket/real", Access()).batches)
        built = time.perf_counter()
        manifest_file.write(table, path, "benchmark")
        written = time.perf_counter()
        rows = table.num_rows
        del table
        opened = manifest_file.Manifest(path, "benchmark")
        shards = opened.shards
        opened.shard(shards // 2)
        read = time.perf_counter()
        size = path.stat().st_size
    if rows != keys:
        raise RuntimeError(f"{rows} rows for {keys} keys")
    return {
        "build_seconds": built - started,
        "write_seconds": written - built,
        "total_seconds": written - started,
        "read_shard_seconds": read - written,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "file_mib": size / 2**20,
        "shards": shards,
    }


def listing_pages(keys: int) -> Iterator[dict[str, Any]]:
    """Pages as `list_objects_v2` gives them, with keys of both forms that the site uses, in no useful order."""
    for start in range(0, keys, PAGE):
        contents = []
        for number in range(start, min(start + PAGE, keys)):
            mixed = (number * 2_654_435_761) % 2**32  # Knuth's multiplicative hash: distinct, and well spread
            half = f"{mixed:010d}"
            key = f"fm_-{half[:5]}_-{half[5:]}" if number % 2 else f"fc_0009B{mixed:016x}.{mixed % 90_000 + 10_000}"
            contents.append(
                {"Key": f"real/{key}/{key}-001.jpg", "Size": 40_000 + mixed % 30_000, "ETag": f'"{mixed:032x}"'}
            )
        yield {"Contents": contents}
