"""What commands print of a run: the summary at the end of a scan, and those of `verify` and `status`."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING

from crater_ray.images.status import ARCHIVED, OK
from crater_ray.runs.left_out import left_out
from crater_ray.watching.display import duration, say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.runs.check import Check
    from crater_ray.runs.run import Run
    from crater_ray.scanning.scan import Outcome


def _statuses(check: Check) -> str:
    other = [f"{count:,} {status}" for status, count in check.statuses.most_common() if status != OK]
    return ", ".join([f"{check.statuses[OK]:,} {OK}", *other])


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def show_outcome(outcome: Outcome, console: Console) -> None:
    """The summary after a scan."""
    check = outcome.check
    if outcome.images:
        working = max(outcome.seconds - outcome.first_result_seconds, 1e-9)
        say(
            console,
            f"{outcome.images:,} images in {duration(outcome.seconds)}: "
            f"{60 * outcome.images / outcome.seconds:,.0f} images/minute "
            f"({duration(outcome.first_result_seconds)} until the first result, "
            f"{60 * outcome.images / working:,.0f} images/minute from there)",
        )
    elif not outcome.failed:
        say(console, "Nothing was left to do.")
    say(console, f"{_statuses(check)}; {check.candidates:,} candidates")
    if check.statuses.total() > check.statuses[OK]:
        say(console, f"Why some have no score:  crater-ray status {shlex.quote(outcome.out)} --problems -")
    if check.statuses[ARCHIVED]:
        say(
            console,
            f"The archived are in cold storage. Restore them, then `crater-ray rescan RUN --status {ARCHIVED}`.",
        )
    _show_pages(check, console)
    for note in outcome.left_out:
        say(console, note)
    _show_audit(check, console)
    if check.bars:
        say(console, check.bars.text())
    if outcome.failed:
        say(console, f"{len(outcome.failed):,} of {check.shards:,} shards could not be done:")
        for shard, reason in sorted(outcome.failed.items())[:5]:
            say(console, f"  shard {shard}: {reason}")
        say(console, "Run the same command again to do only these.")
    say(console, f"run: {outcome.out}")


def _pages(check: Check) -> str | None:
    images, scored, left_out = check.pages
    if not images:
        return None
    rest = f"; {left_out:,} more were not, smaller ones or too many: see pages_left_out" if left_out else ""
    return f"{images:,} images have several pages: {scored:,} pages were scored{rest}"


def _show_pages(check: Check, console: Console) -> None:
    if pages := _pages(check):
        say(console, pages)


def _show_audit(check: Check, console: Console) -> None:
    if check.audit is None:
        return
    say(console, check.audit.text())
    if check.audit.broken:
        console.print(check.audit.warning(), style="bold red", highlight=False, markup=False, soft_wrap=True)


def show_check(run: Run, check: Check, declared: bool, console: Console) -> None:
    """The answer of `verify`."""
    rows = sum(footer.rows for footer in check.parts.values())
    if check.whole:
        parts = _counted(check.shards, "part")
        say(console, f"whole: {rows:,} rows for {check.images:,} images in {parts} ({_statuses(check)})")
        for note in left_out(run.record):
            say(console, note)
        _show_pages(check, console)
        _show_audit(check, console)
        if not declared:
            say(console, "It has no _SUCCESS yet; running its scan command again writes it.")
        return
    say(console, f"NOT whole: {rows:,} sound rows for {check.images:,} images")
    for problem in check.problems:
        say(console, f"  {problem}")
    if check.missing:
        some = ", ".join(str(shard) for shard in check.missing[:10]) + " ..." * (len(check.missing) > 10)
        be = "is" if len(check.missing) == 1 else "are"
        say(console, f"  {len(check.missing):,} of {_counted(check.shards, 'shard')} {be} missing: {some}")
    say(console, f"Run its scan command again to complete it: {run.folder.uri}")


def show_status(run: Run, check: Check, console: Console) -> None:
    """The answer of `status`."""
    from rich.table import Table

    done = sum(footer.rows for footer in check.parts.values())
    settings = run.record["settings"]
    table = Table.grid(padding=(0, 2))
    table.add_row("run", run.folder.uri)
    table.add_row("source", str(settings["source"]))
    table.add_row("bundle", f"{settings['bundle']}, engine {settings['engine']}, threshold {settings['threshold']:g}")
    table.add_row("images", f"{done:,} of {check.images:,} done")
    table.add_row(
        "shards", f"{len(check.parts):,} done, {len(check.missing):,} missing, {len(check.problems):,} damaged"
    )
    for note in left_out(run.record):
        table.add_row("left out", note)
    table.add_row("status", _statuses(check) if done else "none yet")
    if pages := _pages(check):
        table.add_row("pages", pages)
    table.add_row("candidates", f"{check.candidates:,}")
    if check.audit:
        table.add_row("screen", check.audit.text() if done else "nothing screened yet")
    if check.bars:
        table.add_row("bars", check.bars.text())
    table.add_row("speed", _speed(run, check))
    table.add_row("state", "complete" if check.whole and run.success() else "not complete")
    console.print(table, highlight=False, markup=False)
    if check.audit and check.audit.broken:
        console.print(check.audit.warning(), style="bold red", highlight=False, markup=False, soft_wrap=True)


def _speed(run: Run, check: Check) -> str:
    """Images a minute of the last session, from the times at which parts were published."""
    sessions = run.record["sessions"]
    if not sessions:
        return "not started"
    last = sessions[-1]
    if last.get("images_per_minute") is not None:
        return f"{last['images_per_minute']:,.0f} images a minute in the last session ({last['outcome']})"
    started = datetime.fromisoformat(last["started"])
    times = [datetime.fromisoformat(footer.published) for footer in check.parts.values()]
    recent = [moment for moment in times if moment >= started]
    if not recent:
        return "nothing published in this session yet"
    images = sum(f.rows for f in check.parts.values() if datetime.fromisoformat(f.published) >= started)
    seconds = max((max(recent) - started).total_seconds(), 1e-3)
    return f"{60 * images / seconds:,.0f} images a minute in this session so far"
