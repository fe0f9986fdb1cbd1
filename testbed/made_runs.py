"""Runs made through the real run folder, without a scan: whoever makes one says which rows there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from crater_ray.errors import CraterRayError
from crater_ray.runs import run
from crater_ray.runs.run import Run
from crater_ray.storage.folder import Folder

SETTINGS = {
    "source": "/nowhere",
    "endpoint_url": None,
    "base": None,
    "limit": None,
    "sample": None,
    "seed": 0,
    "engine": "stand-in",
    "threshold": 0.5,
    "screen": None,
}
"""What a scan with the stand-in engine would have been told."""


def make_run(folder: Folder, settings: dict[str, Any], manifest: pa.Table, parts: Iterable[pa.Table]) -> Run:
    """Write a run; it is finished where there is a part for each shard.

    Args:
        folder: where.
        settings: `bundle`, `shard_images`, and what differs from `SETTINGS`.
        manifest: its images, as `crater_ray.runs.manifest.SCHEMA` says.
        parts: the rows of the first shards, in order, as `crater_ray.runs.columns.SCHEMA` says.

    Raises:
        CraterRayError: each shard has a part, and the run is not whole.
    """
    facts = {"bundle_card": {"id": settings["bundle"]}, "versions": {}}
    made = run.create(folder, SETTINGS | settings, facts)
    made.freeze(manifest, settings["shard_images"])
    published = 0
    for shard, part in enumerate(parts):
        made.publish(shard, part)
        published += 1
    if published == made.manifest.shards:
        check = made.check()
        if not check.whole:
            raise CraterRayError(f"The made run is not whole: {check.problems or check.missing}")
        made.finish(check)
    return made
