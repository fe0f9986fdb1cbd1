"""The manifest: every image of a run, sorted by key, cut into shards, and frozen at the start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crater_ray.errors import CraterRayError, UsageError

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
        pa.field("shard", pa.int32(), nullable=False),
    ]
)
SHARD_IMAGES = 1_000
_RUN_ID = b"crater_ray.run_id"


@dataclass(frozen=True)
class Selection:
    """Which images of the archive a run takes.

    Attributes:
        limit: the first so many in listing order; listing stops there.
        sample: so many at random out of all.
        seed: decides which.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("limit", "sample"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} must be at least 1; received: {value}")


def build(
    batches: Iterable[pa.RecordBatch], selection: Selection = Selection(), shard_images: int = SHARD_IMAGES
) -> tuple[pa.Table, int]:
    """Make the manifest of listed images.

    Args:
        batches: record batches with `path`, `uri`, `size`, `etag` (see `crater_ray.images.listing`).
        selection: which of them to take.
        shard_images: images per shard.

    Returns:
        The manifest, schema `SCHEMA`, sorted by key; and how many entries were dropped because the same uri was
        listed more than once.
    """
    taken: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        taken.append(batch)
        count += batch.num_rows
        if selection.limit is not None and count >= selection.limit:
            break
    if not taken:
        return SCHEMA.empty_table(), 0
    listed = pa.Table.from_batches(taken).slice(0, selection.limit)  # of the entries, repeated ones included
    del taken
    listed, repeated = _without_repeats(listed)
    listed = selected(listed, selection)
    keys = unique_keys(listed["path"])
    order = pc.sort_indices(keys)
    columns = {
        "key": keys.take(order),
        "uri": listed["uri"].take(order),
        "size": listed["size"].take(order),
        "etag": listed["etag"].take(order),
        "shard": _shards(listed.num_rows, shard_images),
    }
    return pa.table(columns, schema=SCHEMA), repeated


def selected(images: pa.Table, selection: Selection) -> pa.Table:
    """The rows that a selection takes, in the same order."""
    images = images.slice(0, selection.limit)
    if selection.sample is None or selection.sample >= images.num_rows:
        return images
    rng = np.random.default_rng(selection.seed)
    return images.take(pa.array(np.sort(rng.choice(images.num_rows, selection.sample, replace=False))))


def cut(images: pa.Table, shard_images: int) -> pa.Table:
    """A manifest of these rows, cut into shards anew.

    Args:
        images: rows of a manifest, schema `SCHEMA`, sorted by key.
        shard_images: images per shard.
    """
    shards = _shards(images.num_rows, shard_images)
    return images.set_column(SCHEMA.get_field_index("shard"), SCHEMA.field("shard"), shards)


def _shards(images: int, shard_images: int) -> pa.Array:
    return pa.array(np.arange(images, dtype=np.int32) // shard_images)


def unique_keys(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Keys for paths under the source: without suffix, `<key>/<key>-001` shortened to `<key>`.

    Where two images would get the same key, all of them keep their whole path, suffix included.
    """
    keys = _short_keys(paths)
    while True:
        counts = pc.value_counts(keys)
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        # A whole path can itself be another image's short key ("x.jpg" beside "x.jpg.png"), so look again; whole
        # paths are unique, hence this ends.
        collides = pc.and_(pc.is_in(keys, value_set=repeated), pc.not_equal(keys, paths))
        if not pc.any(collides).as_py():
            return keys
        keys = pc.if_else(collides, paths, keys)


def _short_keys(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    stems = pc.replace_substring_regex(paths, r"(?s)([^/])\.[^./]*\z", r"\1")
    parts = pc.extract_regex(stems, r"(?s)\A(?P<above>(?:.*/)?)(?P<folder>[^/]+)/(?P<name>[^/]+)-001\z")
    above, folder, name = (pc.struct_field(parts, index) for index in range(3))
    site_layout = pc.fill_null(pc.equal(folder, name), False)
    return pc.if_else(site_layout, pc.binary_join_element_wise(above, folder, ""), stems)


def _without_repeats(listed: pa.Table) -> tuple[pa.Table, int]:
    unique = pc.count_distinct(listed["uri"]).as_py()
    if unique == listed.num_rows:
        return listed, 0
    numbered = pa.table({"uri": listed["uri"], "row": pa.array(np.arange(listed.num_rows))})
    first = numbered.group_by("uri").aggregate([("row", "min")])["row_min"]
    return listed.take(first.take(pc.sort_indices(first))), listed.num_rows - unique


def write(manifest: pa.Table, path: Path, run_id: str, shard_images: int = SHARD_IMAGES) -> None:
    """Write the manifest as Parquet, one row group per shard, so that one shard can be read alone."""
    table = manifest.replace_schema_metadata({_RUN_ID: run_id.encode()})
    pq.write_table(table, path, row_group_size=shard_images, compression="zstd", use_dictionary=["shard"])


class Manifest:
    """A written manifest, read shard by shard.

    Args:
        path: the Parquet file.
        run_id: the run it must belong to.

    Raises:
        CraterRayError: it is damaged or belongs to another run.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as problem:
            raise CraterRayError(f"The run's manifest.parquet cannot be read: {problem}") from None
        metadata = self._file.schema_arrow.metadata or {}
        if not self._file.schema_arrow.equals(SCHEMA, check_metadata=False):
            raise CraterRayError("The run's manifest.parquet does not have a manifest's columns.")
        if metadata.get(_RUN_ID) != run_id.encode():
            raise CraterRayError("The run's manifest.parquet belongs to another run than its run.json.")
        self.images: int = self._file.metadata.num_rows
        self.shards: int = self._file.metadata.num_row_groups

    def shard(self, number: int) -> pa.Table:
        """The rows of one shard, in order of key."""
        try:
            return self._file.read_row_group(number, use_threads=False)
        except (pa.ArrowException, OSError) as problem:
            raise CraterRayError(f"The run's manifest.parquet is damaged: {' '.join(str(problem).split())}") from None

    def rows(self, number: int) -> int:
        """How many images a shard has."""
        return int(self._file.metadata.row_group(number).num_rows)
