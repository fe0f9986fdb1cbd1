"""Runs of a few rows, made without a scan: tests of results say themselves which rows there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from crater_ray.runs import manifest
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.folder import open_folder
from testbed import made_runs

ODD_KEYS = [
    "a'b\"c",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "../../outside",
    "line\nbreak",
    "=HYPERLINK(1)",
    "Krater-ähnlich-火口",
    "with space, and comma",
]


def row(key: str, score: float | None, **more: Any) -> dict[str, Any]:
    """A part's row; readable at 100x120 unless told otherwise."""
    base = {"key": key, "uri": f"file:///nowhere/{len(key)}.jpg", "status": "ok", "error": None, "height": 100}
    base |= {"width": 120, "score": score, "x": None, "y": None, "bundle": "aaaaaaaaaaaa", "stage": "stand-in"}
    if score is None:
        base |= {"status": "unreadable", "error": "the file is empty (0 bytes)", "height": None, "width": None}
        base |= {"stage": None}
    return base | more


def make_run(
    out: str | Path,
    rows: list[dict[str, Any]],
    *,
    threshold: float = 0.5,
    bundle: str = "aaaaaaaaaaaa",
    shard_images: int = 4,
    unpublished: int = 0,
    access: Access | None = None,
) -> Run:
    """A run folder with these rows; complete unless its last shards are left `unpublished`."""
    rows = sorted(rows, key=lambda one: one["key"].encode())
    table = pa.table(
        {
            "key": [one["key"] for one in rows],
            "uri": [one["uri"] for one in rows],
            "size": pa.nulls(len(rows), pa.int64()),
            "etag": pa.nulls(len(rows), pa.string()),
            "shard": pa.array([number // shard_images for number in range(len(rows))], pa.int32()),
        },
        schema=manifest.SCHEMA,
    )
    content = pa.Table.from_pylist(rows, schema=SCHEMA)
    starts = range(0, len(rows), shard_images)
    parts = [content.slice(start, shard_images) for start in starts[: len(starts) - unpublished]]
    settings = {"bundle": bundle, "threshold": threshold, "shard_images": shard_images}
    return made_runs.make_run(open_folder(out, access), settings, table, parts)
