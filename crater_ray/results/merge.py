"""Merging: a run and rescans of some of its images, as one complete new run in which the newest row counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.status import OK
from crater_ray.runs import run as run_folder
from crater_ray.runs.check import Check
from crater_ray.runs.run import Run
from crater_ray.runs.session import continue_or_create
from crater_ray.storage.access import Access
from crater_ray.storage.folder import Folder, open_folder
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Merged:
    """What a merge made.

    Attributes:
        check: of the new run.
        out: its address.
        replaced: rows that come from a rescan.
        recovered: of these, images that could not be read before and now could.
        lost: of these, images that could be read before and now could not.
        candidates_before: of the first run, at its own threshold.
    """

    check: Check
    out: str
    replaced: int
    recovered: int
    lost: int
    candidates_before: int


def merge(base: Run, rescans: Sequence[Run], out: str, access: Access, threshold: float | None = None) -> Merged:
    """Write a new run that has every image of `base`, with the rows of the rescans where they have one.

    Nothing is held but one shard of each run. The same command again goes on where a stopped merge left off.

    Args:
        base: a complete run.
        rescans: complete runs over some of its images; later ones win.
        out: the new run's folder, local or `s3://bucket/prefix`.
        access: how to reach S3.
        threshold: the new run's; the last rescan's when None.

    Raises:
        UsageError: a rescan has images that `base` does not have, or `out` is in use.
        CraterRayError: one of the runs is not complete.
    """
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise UsageError(f"--threshold must lie between 0 and 1; received: {threshold}")
    checks = [_whole(run) for run in (base, *rescans)]
    for rescan in rescans:
        _require_same_images(base, rescan)
    merged = _open_output(open_folder(out, access), base, rescans, threshold)
    with merged:
        if not merged.has_manifest():
            images = [base.manifest.shard(shard) for shard in range(base.manifest.shards)]
            merged.freeze(pa.concat_tables(images), base.manifest.rows(0))
        done = merged.check().parts
        cursors = [_Cursor(_tables(rescan, lambda run, shard: run.read_part(shard)[0])) for rescan in rescans]
        replaced = recovered = lost = 0
        for shard in range(base.manifest.shards):
            old, _ = base.read_part(shard)
            new = old
            taken = np.zeros(old.num_rows, bool)
            for cursor in cursors:
                new, fresh = _overlay(new, cursor.up_to(old["key"][-1]))
                taken |= fresh
            was, now = (pc.equal(rows["status"], OK).to_numpy() for rows in (old, new))
            replaced += int(taken.sum())
            recovered += int((now & ~was).sum())
            lost += int((was & ~now).sum())
            if shard not in done:
                merged.publish(shard, new)
        check = merged.check()
        if merged.success() is None or len(done) < base.manifest.shards:
            merged.record["finished"] = run_folder.now()
            if check.bars:
                merged.record["bars"] = check.bars.record()
            merged.write_record()
            merged.finish(check)
        return Merged(check, merged.folder.uri, replaced, recovered, lost, checks[0].candidates)


def show_merged(merged: Merged, console: Console) -> None:
    """The summary after a merge."""
    check = merged.check
    say(console, f"{check.images:,} images, {merged.replaced:,} of them with the row of a rescan")
    say(
        console,
        f"{merged.recovered:,} could not be read before and now could, {merged.lost:,} the other way round",
    )
    say(console, f"{check.candidates:,} candidates; {merged.candidates_before:,} in the first run")
    say(console, f"run: {merged.out}")


def _whole(run: Run) -> Check:
    check = run.check()
    if not check.whole:
        raise CraterRayError(
            f"The run at {run.folder.uri} is not whole ({len(check.missing):,} shards missing, "
            f"{len(check.problems):,} damaged). Complete it by its own command, then merge."
        )
    return check


def _open_output(folder: Folder, base: Run, rescans: Sequence[Run], threshold: float | None) -> Run:
    runs = [base, *rescans]
    bundles = list(dict.fromkeys(str(run.record["settings"]["bundle"]) for run in runs))
    settings = base.record["settings"] | {
        "bundle": " + ".join(bundles),
        "threshold": rescans[-1].threshold if threshold is None else threshold,
        "merged_from": [{"run_id": run.id, "bundle": run.record["settings"]["bundle"]} for run in runs],
    }
    facts: dict[str, Any] = {"bundle_cards": [run.record.get("bundle_card") for run in runs]}
    if "sidecars" in base.record:
        facts["sidecars"] = base.record["sidecars"]
    return continue_or_create(folder, settings, facts)


def _require_same_images(base: Run, rescan: Run) -> None:
    cursor = _Cursor(_tables(rescan, lambda run, shard: run.manifest.shard(shard)))
    for shard in range(base.manifest.shards):
        images = base.manifest.shard(shard)
        some = cursor.up_to(images["key"][-1])
        where = pc.index_in(some["key"], value_set=images["key"].combine_chunks())
        same = pc.equal(images["uri"].take(where), some["uri"])
        strange = some.filter(pc.invert(pc.fill_null(same, False)))
        if strange.num_rows:
            _refuse(base, rescan, strange)
    rest = next(cursor.rest(), None)
    if rest is not None:
        _refuse(base, rescan, rest)


def _refuse(base: Run, rescan: Run, strange: pa.Table) -> None:
    raise UsageError(
        f"The run at {rescan.folder.uri} is no rescan of {base.folder.uri}: it has images that the other does not "
        f"have, such as {strange['uri'][0].as_py()!r}. Give the run first, then rescans of it."
    )


def _tables(run: Run, read: Callable[[Run, int], pa.Table]) -> Iterator[pa.Table]:
    for shard in range(run.manifest.shards):
        yield read(run, shard)


def _overlay(rows: pa.Table, fresh: pa.Table) -> tuple[pa.Table, np.ndarray]:
    """Rows with those of `fresh` that have the same key in their place, and which were replaced."""
    if fresh.num_rows == 0:
        return rows, np.zeros(rows.num_rows, bool)
    found = pc.index_in(rows["key"], value_set=fresh["key"].combine_chunks())
    replaced = found.is_valid().to_numpy()
    places = np.where(replaced, rows.num_rows + pc.fill_null(found, 0).to_numpy(), np.arange(rows.num_rows))
    return pa.concat_tables([rows, fresh]).take(pa.array(places)).combine_chunks(), replaced


class _Cursor:
    """Walks once through tables that are sorted by key."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._held: pa.Table | None = next(tables, None)
        self._none = None if self._held is None else self._held.slice(0, 0)

    def up_to(self, key: pa.Scalar) -> pa.Table:
        """The rows from here to this key."""
        taken: list[pa.Table] = []
        if self._none is None:
            raise ValueError("there is no table, not even an empty one")
        while self._held is not None:
            count = int(pc.sum(pc.less_equal(self._held["key"], key)).as_py() or 0)
            taken.append(self._held.slice(0, count))
            if count < self._held.num_rows:
                self._held = self._held.slice(count)
                break
            self._held = next(self._tables, None)
        return pa.concat_tables([self._none, *taken])

    def rest(self) -> Iterator[pa.Table]:
        """What is left."""
        if self._held is not None and self._held.num_rows:
            yield self._held
        yield from self._tables
