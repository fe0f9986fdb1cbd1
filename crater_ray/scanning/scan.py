"""The scan: from an archive to a complete run. Read this first, then follow pipeline, loader, scorer and run."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.fetch import any_there
from crater_ray.images.listing import Listing, open_archive
from crater_ray.images.picture import Reading
from crater_ray.images.sidecars import suffixes_in
from crater_ray.network.bundle import Bundle
from crater_ray.network.bundle import load as load_bundle
from crater_ray.runs import manifest as manifest_file
from crater_ray.runs import run as run_folder
from crater_ray.runs.check import Check
from crater_ray.runs.lease import Lease
from crater_ray.runs.left_out import left_out, passed_over
from crater_ray.runs.run import Run
from crater_ray.runs.session import begin_session, continue_or_create, end_session
from crater_ray.scanning.engine import choose_engine
from crater_ray.settings import ScanSettings, bundle_name, identity, threshold_of, without_needless_screen
from crater_ray.storage.folder import open_folder
from crater_ray.watching.display import say
from crater_ray.watching.log import log, logging_to
from crater_ray.watching.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


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
        left_out: what was under the source but has no row; see `crater_ray.runs.left_out`.
    """

    check: Check
    failed: dict[int, str]
    images: int
    seconds: float
    first_result_seconds: float
    out: str
    left_out: list[str]


@dataclass(frozen=True)
class Choice:
    """Images chosen from an earlier run: taken as they are, instead of listing the source.

    Attributes:
        settings: what the new run's settings say of the choice; a command that chose otherwise is refused on it.
        images: gives the manifest; called unless the new run has one already.
        sidecars: suffixes of the text files that may lie beside the images.
        planted: each address ends in a recipe, and its crater is planted into the image; see `crater_ray.planting`.
    """

    settings: dict[str, Any]
    images: Callable[[], pa.Table]
    sidecars: tuple[str, ...] = ()
    planted: bool = False


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
    from crater_ray.scanning.cluster import Connection, expect_ray

    started = time.monotonic()
    bundle = load_bundle(settings.bundle)
    settings, note = without_needless_screen(settings, bundle)
    if note:
        console.print(note, highlight=False, markup=False)
    engine_choice = choose_engine(settings, bundle, console)
    engine = engine_choice.engine
    run = open_run_folder(settings, bundle, engine, choice)
    lease = Lease(run.folder, lambda text: console.print(text, highlight=False, markup=False))
    with run, logging_to(settings.log, run.id), _terminate_as_interrupt(), lease, ExitStack() as to_leave:
        run.reload()  # another scan may have ended while its lease was watched
        connection: Connection | None = None
        if not run.has_manifest():
            expect_ray(settings.address)  # before hours of listing, not after
            connection = to_leave.enter_context(Connection(settings.address))  # Ray starts while the archive is listed
            if choice:
                run.freeze(choice.images(), settings.shard_images)
            else:
                _freeze_manifest(run, settings, console)
            pa.default_memory_pool().release_unused()  # what listing took is not kept while scoring
        check = _check_before(run, console)
        todo = [shard for shard in range(run.manifest.shards) if shard not in check.parts]
        progress = Progress(run.manifest.images, before=sum(part.rows for part in check.parts.values()))
        progress.started = started
        failed: dict[int, str] = {}
        if todo:
            connection = connection or to_leave.enter_context(Connection(settings.address))
            from crater_ray.scanning.pipeline import Pipeline
            from crater_ray.scanning.work import Work
            from crater_ray.watching.display import Display
            from crater_ray.watching.metrics import Meter

            session = begin_session(run, len(todo), engine_choice.record())
            work = Work(
                run,
                settings.access,
                bundle,
                bundle_name(bundle, engine),
                engine,
                threshold_of(settings, bundle),
                settings.screen,
                Reading(settings.crop, settings.pixel_nm, tuple(run.record.get("sidecars", ()))),
                choice is not None and choice.planted,
            )
            ended = "failed"
            log.info("a session begins: %d of %d shards to do", len(todo), run.manifest.shards)
            try:
                connection.wait()
                with (
                    _imports_kept(),
                    _terminate_as_interrupt(),  # once more: Ray may have put its own answer to SIGTERM in place
                    Display(progress, console) as display,
                    Meter(progress, run.id) as meter,
                ):

                    def show() -> None:
                        display.show()
                        meter.show()

                    failed = Pipeline(work, todo, progress, show).execute()
                    ended = "failed" if failed else "complete"
            except KeyboardInterrupt:
                ended = "interrupted"
                raise
            except CraterRayError as problem:
                log.error("%s", problem)
                raise
            finally:
                connection.leave()
                log.info("the session ends: %s, %d images published", ended, progress.published)
                end_session(run, session, progress, ended)
            check = run.check()
        if check.whole and (todo or run.success() is None):
            run.record["finished"] = run_folder.now()
            if check.audit:
                run.record["audit"] = check.audit.record()
            if check.bars:
                run.record["bars"] = check.bars.record()
            run.write_record()
            run.finish(check)
        elif not failed and not check.whole:
            raise CraterRayError(
                f"The parts do not agree with the manifest after the scan: {check.problems or check.missing}. "
                "Is another scan writing to the same folder? Run the same command again."
            )
        seconds = time.monotonic() - started
        first = (progress.first or time.monotonic()) - started
        return Outcome(check, failed, progress.done, seconds, first, run.folder.uri, left_out(run.record))


def open_run_folder(settings: ScanSettings, bundle: Bundle, engine: str, choice: Choice | None = None) -> Run:
    """The run that a scan continues, or a new one.

    Args:
        settings, bundle: of the scan.
        engine: name of the resolved engine.
        choice: the images that were chosen from an earlier run, if they were.

    Raises:
        UsageError: the output belongs to another run, or to something else altogether.
    """
    decides = identity(settings, bundle, engine) | (choice.settings if choice else {})
    card = bundle.card()
    card["figures"] = {name: value for name, value in card["figures"].items() if name != "evaluation"}  # it is long
    facts: dict[str, Any] = {"bundle_card": card}
    if settings.screen and bundle.screen:
        facts["screen_promise"] = bundle.screen.promise
    if choice and choice.sidecars:
        facts["sidecars"] = list(choice.sidecars)
    return continue_or_create(open_folder(settings.out, settings.access), decides, facts)


def list_archive(settings: ScanSettings, console: Console) -> tuple[pa.Table, Listing, int]:
    """List the source and make its manifest, with a count while it lasts.

    Raises:
        UsageError: there is no image in it, or nothing is where the first entries of a key list say.
    """
    listing = open_archive(settings.source, settings.access, settings.base, settings.column)
    with console.status("listing ...") as status:

        def counted() -> Iterator[pa.RecordBatch]:
            count = 0
            for batch in listing.batches:
                count += batch.num_rows
                status.update(f"listing {listing.source}: {count:,} images")
                yield batch

        table, repeated = manifest_file.build(counted(), settings.selection, settings.shard_images)
    if table.num_rows == 0:
        seen = passed_over(listing.passed_over()) or "nothing else either"
        raise UsageError(f"There is no JPEG, PNG or TIFF image in {listing.source}; {seen}. Check SOURCE.")
    first = table["uri"].slice(0, settings.shard_images).to_pylist()
    if not listing.seen and not any_there(first, settings.access):
        raise UsageError(
            f"None of the first {len(first):,} images of {listing.source} is there; one of them: {first[0]}. Check "
            "what its entries are relative to (--base), and which column holds them (--column)."
        )
    return table, listing, repeated


def _freeze_manifest(run: Run, settings: ScanSettings, console: Console) -> None:
    table, listing, repeated = list_archive(settings, console)
    run.freeze(table, settings.shard_images)
    run.record["listing"] = {
        "images": table.num_rows,
        "ignored_files": listing.passed_over(),
        "repeated_entries": repeated,
        "listed": run_folder.now(),
    }
    if sidecars := suffixes_in(listing.ignored):
        run.record["sidecars"] = list(sidecars)
    run.write_record()
    shards = run.manifest.shards
    notes = [f"{table.num_rows:,} images in {shards:,} shard{'s' * (shards > 1)}"]
    if ignored := sum(listing.passed_over().values()):
        notes.append(f"{ignored:,} other {'file' if ignored == 1 else 'files'} passed over")
    if repeated:
        notes.append(f"{repeated:,} repeated entries taken once")
    say(console, "; ".join(notes))


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


@contextmanager
def _imports_kept() -> Iterator[None]:
    """Garbage is not looked for among what has been imported: Ray has it done now and then, for 0.1 s each time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
