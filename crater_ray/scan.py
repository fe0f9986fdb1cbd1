"""The scan: from an archive to a complete run. Read this first, then follow pipeline, loader, scorer and run."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crater_ray import manifest as manifest_file
from crater_ray import run as run_folder
from crater_ray.archive import Listing, open_archive
from crater_ray.bundle import DEFAULT, Bundle
from crater_ray.bundle import load as load_bundle
from crater_ray.engine import resolve
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.folder import open_folder
from crater_ray.manifest import SHARD_IMAGES, Selection
from crater_ray.progress import Progress
from crater_ray.run import Check, Run
from crater_ray.storage import Access

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console


@dataclass(frozen=True)
class ScanSettings:
    """Everything that a scan is told.

    Attributes:
        source: folder, `s3://bucket/prefix`, or key list.
        out: the run folder, local or `s3://bucket/prefix`.
        bundle: the network's folder; the shipped one by default.
        access: how to reach S3.
        base: for key lists, what relative entries are relative to.
        selection: which images of the archive.
        threshold: from which score an image is a candidate; the bundle's typical threshold when None.
        engine: `auto`, or the name of one.
        shard_images: images per shard, the unit of publishing and resuming.
        address: a Ray cluster to join; None for this machine alone.
    """

    source: str
    out: str
    bundle: Path = DEFAULT
    access: Access = field(default_factory=Access)
    base: str | None = None
    selection: Selection = field(default_factory=Selection)
    threshold: float | None = None
    engine: str = "auto"
    shard_images: int = SHARD_IMAGES
    address: str | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise UsageError(f"--threshold must lie between 0 and 1; received: {self.threshold}")
        if self.shard_images < 1:
            raise UsageError(f"--shard-images must be at least 1; received: {self.shard_images}")


@dataclass(frozen=True)
class Outcome:
    """How a scan ended.

    Attributes:
        check: what the parts hold; complete unless shards failed.
        failed: why, by number of shard.
        images: settled in this session.
        seconds: of this session.
        first_result_seconds: until the first images were settled: start-up and listing.
        out: the run's address.
    """

    check: Check
    failed: dict[int, str]
    images: int
    seconds: float
    first_result_seconds: float
    out: str


@dataclass(frozen=True)
class Choice:
    """Images chosen from an earlier run: taken as they are, instead of listing the source.

    Attributes:
        settings: what the new run's settings say of the choice; a command that chose otherwise is refused on it.
        images: gives the manifest; called unless the new run has one already.
    """

    settings: dict[str, Any]
    images: Callable[[], pa.Table]


def scan(settings: ScanSettings, console: Console, choice: Choice | None = None) -> Outcome:
    """Scan an archive, or go on with a scan that was stopped.

    Args:
        settings: what to scan, with what, where to.
        console: for progress.
        choice: scan these images instead of those that the source lists.

    Returns:
        How it ended. The run is complete (`verify` passes) exactly when `failed` is empty.

    Raises:
        UsageError: the command cannot be carried out as given.
        CraterRayError: something failed; running the same command again goes on from there.
        KeyboardInterrupt: the user stopped it; likewise.
    """
    from crater_ray.cluster import connected
    from crater_ray.display import Display
    from crater_ray.pipeline import Pipeline, Work

    started = time.monotonic()
    bundle = load_bundle(settings.bundle)
    engine = resolve(settings.engine)
    run = open_run_folder(settings, bundle, engine, choice.settings if choice else {})
    with run, _terminate_as_interrupt():
        if not run.has_manifest():
            if choice:
                run.freeze(choice.images(), settings.shard_images)
            else:
                _freeze_manifest(run, settings, console)
        check = _check_before(run, console)
        todo = [shard for shard in range(run.manifest.shards) if shard not in check.parts]
        progress = Progress(run.manifest.images, before=sum(part.rows for part in check.parts.values()))
        progress.started = started
        failed: dict[int, str] = {}
        if todo:
            session = _begin_session(run, len(todo))
            work = Work(run, settings.access, bundle, bundle_name(bundle, engine), engine, _threshold(settings, bundle))
            ended = "failed"
            try:
                with (
                    connected(settings.address),
                    _terminate_as_interrupt(),  # once more: Ray has just put its own answer to SIGTERM in place
                    Display(progress, console) as display,
                ):
                    failed = Pipeline(work, todo, progress, display.show).execute()
                    ended = "failed" if failed else "complete"
            except KeyboardInterrupt:
                ended = "interrupted"
                raise
            finally:
                _end_session(run, session, progress, ended)
            check = run.check()
        if check.whole and (todo or run.success() is None):
            run.record["finished"] = run_folder.now()
            run.write_record()
            run.finish(check)
        elif not failed and not check.whole:
            raise CraterRayError(
                f"The parts do not agree with the manifest after the scan: {check.problems or check.missing}. "
                "Is another scan writing to the same folder? Run the same command again."
            )
        seconds = time.monotonic() - started
        first = (progress.first or time.monotonic()) - started
        return Outcome(check, failed, progress.done, seconds, first, run.folder.uri)


def bundle_name(bundle: Bundle, engine: str) -> str:
    """What the column `bundle` says."""
    return "stand-in" if engine == "stand-in" else bundle.id


def _threshold(settings: ScanSettings, bundle: Bundle) -> float:
    return bundle.typical_threshold if settings.threshold is None else settings.threshold


def open_run_folder(settings: ScanSettings, bundle: Bundle, engine: str, further: dict[str, Any]) -> Run:
    """The run that this command continues, or a new one.

    Args:
        settings, bundle, engine: of the scan.
        further: what else decides which rows the run has; JSON values only.

    Raises:
        UsageError: the output belongs to another run, or to something else altogether.
    """
    identity = _identity(settings, bundle, engine) | further
    folder = open_folder(settings.out, settings.access)
    run = run_folder.find(folder)
    facts = {"bundle_card": bundle.card(), "versions": versions()}
    if run is None:
        return run_folder.create(folder, identity, facts)
    different = run_folder.differences(run, identity)
    if different and not run.has_manifest():  # it ended while listing: nothing of it is worth keeping
        return run_folder.create(folder, identity, facts, instead=run)
    if different:
        raise UsageError(
            f"The output {folder.uri} belongs to another run. Different are:\n  "
            + "\n  ".join(different)
            + "\nRepeat the run's own command to go on with it, or give --out a new folder."
        )
    return run


def _identity(settings: ScanSettings, bundle: Bundle, engine: str) -> dict[str, Any]:
    """The settings that decide which rows a run has; JSON values only."""
    source = settings.source
    if not source.startswith("s3://"):
        source = os.path.abspath(os.path.expanduser(source.removeprefix("file://")))
    return {
        "source": source.rstrip("/") or "/",
        "endpoint_url": settings.access.endpoint_url,
        "base": settings.base,
        "limit": settings.selection.limit,
        "sample": settings.selection.sample,
        "seed": settings.selection.seed,
        "bundle": bundle_name(bundle, engine),
        "engine": engine,
        "threshold": _threshold(settings, bundle),
        "shard_images": settings.shard_images,
    }


def list_archive(settings: ScanSettings, console: Console) -> tuple[pa.Table, Listing, int]:
    """List the source and make its manifest, with a count while it lasts.

    Raises:
        UsageError: there is no image in it.
    """
    listing = open_archive(settings.source, settings.access, settings.base)
    with console.status("listing ...") as status:

        def counted() -> Iterator[pa.RecordBatch]:
            count = 0
            for batch in listing.batches:
                count += batch.num_rows
                status.update(f"listing {listing.source}: {count:,} images")
                yield batch

        table, repeated = manifest_file.build(counted(), settings.selection, settings.shard_images)
    if table.num_rows == 0:
        seen = ", ".join(f"{count} {suffix}" for suffix, count in listing.ignored.most_common(5)) or "nothing"
        raise UsageError(f"There is no JPEG, PNG or TIFF image in {listing.source}; found: {seen}.")
    return table, listing, repeated


def _freeze_manifest(run: Run, settings: ScanSettings, console: Console) -> None:
    table, listing, repeated = list_archive(settings, console)
    run.freeze(table, settings.shard_images)
    run.record["listing"] = {
        "images": table.num_rows,
        "ignored_files": dict(listing.ignored.most_common(20)),
        "repeated_entries": repeated,
        "listed": run_folder.now(),
    }
    run.write_record()
    shards = run.manifest.shards
    notes = [f"{table.num_rows:,} images in {shards:,} shard{'s' * (shards > 1)}"]
    if listing.ignored:
        notes.append(f"{listing.ignored.total():,} files with other names passed over")
    if repeated:
        notes.append(f"{repeated:,} repeated entries taken once")
    console.print(", ".join(notes), highlight=False)


def _check_before(run: Run, console: Console) -> Check:
    """Which shards are already done, and soundly so."""
    published = run.published()
    if not published:
        return Check(run.manifest.images, run.manifest.shards)
    check = run.check()
    for problem in check.problems:
        console.print(f"{problem}; it will be done again.", highlight=False, markup=False)
    done = sum(footer.rows for footer in check.parts.values())
    console.print(f"{done:,} of {check.images:,} images are already done.", highlight=False)
    return check


def _begin_session(run: Run, shards: int) -> dict[str, Any]:
    session: dict[str, Any] = {"started": run_folder.now(), "ended": None, "shards_to_do": shards}
    session["versions"] = versions()
    run.record["sessions"].append(session)
    run.write_record()
    return session


def _end_session(run: Run, session: dict[str, Any], progress: Progress, ended: str) -> None:
    session.update(
        ended=run_folder.now(),
        outcome=ended,
        images=progress.published,
        seconds=round(progress.seconds, 3),
        images_per_minute=round(progress.per_minute(), 2),
        retried_blocks=progress.retries,
        devices=dict(Counter(name or "not ready" for name, _ in progress.devices)),
    )
    run.write_record()


def versions() -> dict[str, str]:
    """The versions of what decides results."""
    packages = ("crater-ray", "ray", "tensorflow", "keras", "numpy", "pyarrow", "pillow", "obstore")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """A polite kill (SIGTERM), as clusters send before taking a machine, ends a scan like Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
