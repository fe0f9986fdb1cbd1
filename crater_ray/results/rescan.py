"""Rescanning: images of an earlier run, all or chosen by what it found, scored again without listing the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.key_list import read_key_list
from crater_ray.results.open_run import Results
from crater_ray.results.where import parse_where
from crater_ray.runs import manifest as manifest_file
from crater_ray.runs.manifest import Selection
from crater_ray.runs.run import Run, open_existing
from crater_ray.settings import ScanSettings
from crater_ray.storage.folder import open_folder
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.scanning.scan import Choice, Outcome


@dataclass(frozen=True)
class Conditions:
    """Which images of the earlier run are scanned again: those that meet all that are given; without any, all.

    Attributes:
        where: the earlier row meets this condition; see `crater_ray.results.where`.
        keys: the image is in this list of keys or uris (.txt, .csv, .parquet).
        statuses: the earlier row has one of these.
        column: the column of images in that list, when it cannot be recognised.
    """

    where: str | None = None
    keys: str | None = None
    statuses: tuple[str, ...] = ()
    column: str | None = None


def rescan(settings: ScanSettings, console: Console, conditions: Conditions = Conditions()) -> Outcome:
    """Score images of an earlier run again, or go on with a rescan that was stopped.

    Args:
        settings: as for a scan, with the earlier run as `source`; `base` is that run's, and so is the S3-compatible
            service unless one is named. `selection` takes some of the images that meet the conditions.
        console: for progress.
        conditions: which images.

    Raises:
        UsageError: the command cannot be carried out as given, or it chooses no image.
        CraterRayError: something failed; running the same command again goes on from there.
    """
    from crater_ray.scanning.scan import scan

    with _chosen(settings, console, conditions) as (wanted, choice):
        return scan(wanted, console, choice)


def dry_run(settings: ScanSettings, console: Console, conditions: Conditions = Conditions()) -> None:
    """Say what a rescan would do; arguments and errors as for `rescan`."""
    from crater_ray.scanning import dry_run as rehearsal

    with _chosen(settings, console, conditions) as (wanted, choice):
        rehearsal.dry_run(wanted, console, choice)


@contextmanager
def _chosen(settings: ScanSettings, console: Console, conditions: Conditions) -> Iterator[tuple[ScanSettings, Choice]]:
    """The scan that a rescan is, and the images that it takes."""
    from crater_ray.scanning.scan import Choice

    if conditions.where is not None:
        parse_where(conditions.where)
    entries = None
    if conditions.keys is not None:
        entries = sorted(set(read_key_list(conditions.keys, settings.access, conditions.column).entries))
    elif conditions.column is not None:
        raise UsageError("--column goes with --keys FILE: it says which column of the list holds the images.")
    with open_existing(settings.source, settings.access) as old:
        if open_folder(settings.out, settings.access).uri == old.folder.uri:
            raise UsageError(f"--out {settings.out} is the earlier run itself. Give the rescan a folder of its own.")
        before = old.record["settings"]
        if "planting" in before:
            raise UsageError(
                f"{old.folder.uri} holds planted craters, not an archive's images: it cannot be rescanned."
            )
        told: dict[str, Any] = {
            "rescan_of": {"run_id": old.id, "bundle": before["bundle"]},
            "where": conditions.where,
            "keys": None if entries is None else _digest(entries),
            "statuses": sorted(set(conditions.statuses)),
        }
        if settings.selection != Selection():
            told["of_these"] = asdict(settings.selection)

        def images() -> pa.Table:
            table = choose(old, conditions.where, entries, conditions.statuses, settings.shard_images)
            table = manifest_file.cut(manifest_file.selected(table, settings.selection), settings.shard_images)
            share = 100 * table.num_rows / old.manifest.images
            say(
                console,
                f"{table.num_rows:,} of {old.manifest.images:,} images ({share:.3g}%) of the earlier run "
                f"with the bundle {before['bundle']}",
            )
            return table

        access = settings.access
        access = replace(access, endpoint_url=access.endpoint_url or before.get("endpoint_url"))
        selection = Selection(before.get("limit"), before.get("sample"), before.get("seed") or 0)
        wanted = replace(settings, source=before["source"], access=access, selection=selection)
        wanted = replace(wanted, base=before.get("base"), column=before.get("column"))
        yield wanted, Choice(told, images, tuple(old.record.get("sidecars", ())))


def choose(
    old: Run, where: str | None, entries: list[str] | None, statuses: tuple[str, ...], shard_images: int
) -> pa.Table:
    """The manifest of a rescan.

    Args:
        old: the earlier run.
        where, statuses: conditions on its rows; None and () for none.
        entries: keys or uris; None for any.
        shard_images: images per shard of the new run.

    Returns:
        Schema `crater_ray.runs.manifest.SCHEMA`, sorted by key, cut into new shards.

    Raises:
        UsageError: no image is chosen, or `entries` names images that the earlier run does not have.
        CraterRayError: conditions on rows are given, but not every image of the earlier run has one yet.
    """
    manifest = old.manifest
    wanted = None if entries is None else pa.array(entries, pa.string())
    met = np.zeros(0 if wanted is None else len(wanted), bool)
    found: list[pa.Table] = []
    for shard, keys in enumerate(_matching(old, where, statuses)):
        images = manifest.shard(shard)
        if wanted is not None:
            for name in ("key", "uri"):
                met |= pc.is_in(wanted, value_set=images[name].combine_chunks()).to_numpy(zero_copy_only=False)
            listed = pc.or_(pc.is_in(images["key"], value_set=wanted), pc.is_in(images["uri"], value_set=wanted))
            images = images.filter(listed)
        found.append(images if keys is None else images.filter(pc.is_in(images["key"], value_set=keys)))
    if entries is not None and not met.all():
        strange = [entry for entry, here in zip(entries, met, strict=True) if not here]
        some = ", ".join(map(repr, strange[:3])) + " ..." * (len(strange) > 3)
        raise UsageError(
            f"--keys names {len(strange):,} images that the run at {old.folder.uri} does not have: {some}. "
            "Give keys or uris as its rows have them."
        )
    table = pa.concat_tables([manifest_file.SCHEMA.empty_table(), *found])
    if table.num_rows == 0:
        raise UsageError(_nothing(old, where, statuses))
    return manifest_file.cut(table, shard_images)


def _matching(old: Run, where: str | None, statuses: tuple[str, ...]) -> Iterator[pa.Array | None]:
    """For each shard the keys whose rows meet the conditions; None for all."""
    if where is None and not statuses:
        yield from (None for _ in range(old.manifest.shards))
        return
    missing = old.manifest.shards - len(old.published())
    if missing:
        raise CraterRayError(
            f"The run at {old.folder.uri} is not complete ({missing:,} of {old.manifest.shards:,} shards are missing): "
            "images cannot be chosen by rows that are not there. Complete it by its scan command first."
        )
    results = Results(old, where)
    if statuses:
        listed = ", ".join("'" + status.replace("'", "''") + "'" for status in statuses)
        results = results.filter(f"status in ({listed})")
    for rows in results.parts(["key"]):
        yield rows["key"].combine_chunks()


def _nothing(old: Run, where: str | None, statuses: tuple[str, ...]) -> str:
    counts = ", ".join(f"{count:,} {status}" for status, count in Results(old).counts().most_common())
    conditions = [f"--where {where!r}"] * (where is not None) + [f"--status {status}" for status in statuses]
    return f"No image of the run at {old.folder.uri} meets {' and '.join(conditions) or 'this'}. Its rows: {counts}."


def _digest(entries: list[str]) -> str:
    return hashlib.sha256("\0".join(entries).encode()).hexdigest()[:12]
