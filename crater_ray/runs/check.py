"""The check of a run: every part read, its digest proved, and its keys compared with the manifest's."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.runs import part
from crater_ray.runs.audit import Audit
from crater_ray.runs.bars import Bars
from crater_ray.runs.manifest import Manifest
from crater_ray.storage.folder import Folder

READERS = 4


@dataclass
class Check:
    """What a comparison of the parts with the manifest found.

    Attributes:
        images, shards: of the manifest.
        parts: footer of every sound part, by shard.
        missing: shards without a part.
        problems: one line for each part that is damaged, superfluous or disagrees with the manifest.
        statuses: how many rows have which status.
        candidates: rows at or above the run's threshold.
        pages: of images of several pages, how many images there are, how many pages of them were scored, and how many
            were not.
        audit: what the audit of the screen found; None for runs without a screen.
        bars: the information bars that were left out.
    """

    images: int
    shards: int
    parts: dict[int, part.Footer] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    pages: tuple[int, int, int] = (0, 0, 0)
    audit: Audit | None = None
    bars: Bars = field(default_factory=Bars)

    @property
    def whole(self) -> bool:
        return not self.missing and not self.problems and len(self.parts) == self.shards


def check_parts(
    folder: Folder,
    manifest: Manifest,
    run_id: str,
    threshold: float,
    audit: Audit | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Check:
    """Read every part and compare it with the manifest, one shard at a time.

    Args:
        folder: the run's.
        manifest: the run's.
        run_id: the run.
        threshold: from which score an image is a candidate.
        audit: of the run's screen, still without counts; None for runs without a screen.
        progress: called with shards checked and shards in all.
    """
    check = Check(manifest.images, manifest.shards, audit=audit)
    published: set[int] = set()
    last = pa.array([], pa.string())
    for name, _ in folder.names("parts/"):
        shard = part.shard_of(name)
        if shard is not None:
            published.add(shard)
        if shard is None or shard >= manifest.shards:
            check.problems.append(f"{name} does not belong here: the manifest has {manifest.shards} shards")
    for shard, found in _read_parts(folder, run_id, range(manifest.shards), published):
        if progress:
            progress(shard, manifest.shards)
        if found is None:
            check.missing.append(shard)
            continue
        if isinstance(found, part.DamagedPart):
            check.problems.append(str(found))
            continue
        rows, footer = found
        keys = manifest.shard(shard)["key"].combine_chunks()
        if not _in_order(last, keys):
            check.problems.append(f"manifest.parquet does not have each key once, in order, in shard {shard}")
            continue
        last = keys[-1:]
        if not rows["key"].combine_chunks().equals(keys):
            check.problems.append(f"{part.name(shard)} does not have the keys that the manifest gives its shard")
            continue
        check.parts[shard] = footer
        for entry in rows["status"].value_counts().to_pylist():
            check.statuses[entry["values"]] += entry["counts"]
        check.candidates += count_candidates(rows, threshold)
        check.bars.add(rows)
        check.pages = tuple(map(sum, zip(check.pages, count_pages(rows), strict=True)))  # type: ignore[assignment]
        if check.audit:
            check.audit.add(rows, threshold)
    return check


def _read_parts(
    folder: Folder, run_id: str, shards: Iterable[int], published: set[int]
) -> Iterator[tuple[int, tuple[pa.Table, part.Footer] | part.DamagedPart | None]]:
    """Parts in order, a few read at a time, because each may be a request to far-away storage."""

    def read(shard: int) -> tuple[pa.Table, part.Footer] | part.DamagedPart | None:
        try:
            return part.read(folder, run_id, shard) if shard in published else None
        except FileNotFoundError:
            return None
        except part.DamagedPart as problem:
            return problem

    with ThreadPoolExecutor(READERS) as pool:
        ahead: deque[tuple[int, Future[Any]]] = deque()
        for shard in shards:
            ahead.append((shard, pool.submit(read, shard)))
            if len(ahead) > 2 * READERS:
                number, future = ahead.popleft()
                yield number, future.result()
        for number, future in ahead:
            yield number, future.result()


def _in_order(last: pa.Array, keys: pa.Array) -> bool:
    """Whether keys increase strictly, from the last one before them on: only then is each of them there once."""
    keys = pa.concat_arrays([last, keys])
    return bool(pc.all(pc.less(keys[:-1], keys[1:])).as_py() is not False)


def count_candidates(rows: pa.Table, threshold: float) -> int:
    """How many rows have a score at or above the threshold."""
    return int(pc.sum(pc.greater_equal(rows["score"], pa.scalar(threshold, pa.float32()))).as_py() or 0)


def count_pages(rows: pa.Table) -> tuple[int, int, int]:
    """How many images have several pages, how many of these pages were scored, and how many were not."""
    if not {"pages", "pages_left_out"} <= set(rows.column_names):
        return 0, 0, 0
    scored, left_out = (pc.fill_null(rows[name], 0).to_numpy() for name in ("pages", "pages_left_out"))
    several = scored + left_out > 1
    return int(several.sum()), int(scored[several].sum()), int(left_out[several].sum())
