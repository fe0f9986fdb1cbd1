"""What a scan shows while it runs: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from crater_ray.watching.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.panel import Panel

LINE_SECONDS = 10.0
LIVE_SECONDS = 0.25


def say(console: Console, text: str) -> None:
    """Print a line as it is: nothing in it is markup, and it is not broken up."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `2 h 05 min`, `3 min 20 s`, `12 s`."""
    if seconds is None:
        return "unknown"
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    minutes, rest = divmod(total, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


class Display:
    """Shows a `Progress`; use as a context and call `show` as often as you like.

    Args:
        progress: what to show.
        console: where to.
    """

    def __init__(self, progress: Progress, console: Console) -> None:
        self._progress = progress
        self._console = console
        self._live: Live | None = None
        self._last = time.monotonic() if not console.is_terminal else 0.0

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(self._panel(), console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self) -> None:
        """Bring what is shown up to date, if it is time to."""
        now = time.monotonic()
        if now - self._last < (LIVE_SECONDS if self._live else LINE_SECONDS):
            return
        self._last = now
        if self._live:
            self._live.update(self._panel(), refresh=True)
        else:
            self._console.print(self._line(), highlight=False, markup=False, soft_wrap=True)

    def _line(self) -> str:
        p = self._progress
        text = (
            f"{p.before + p.done:,} of {p.total:,} images, {p.per_minute_now():,.0f} a minute now, "
            f"{p.per_minute():,.0f} on average, {duration(p.seconds_left())} left, "
            f"{p.candidates:,} candidates, {p.refused:,} unreadable, {self._devices()}"
        )
        return text + (f", {p.retries:,} blocks retried" if p.retries else "")

    def _devices(self) -> str:
        ready = [busy for name, busy in self._progress.devices if name is not None]
        waiting = self._progress.waiting
        starting = len(self._progress.devices) - len(ready) - waiting
        parts = []
        if ready:
            parts.append(f"{len(ready)} device{'s' * (len(ready) > 1)} {100 * sum(ready) / len(ready):.0f}% busy")
        if waiting:
            parts.append(f"{waiting} waiting for a GPU that others use")
        if starting > 0:
            parts.append(f"{starting} starting")
        return ", ".join(parts) or "no device yet"

    def _panel(self) -> Panel:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        p = self._progress
        grid = Table.grid(padding=(0, 3))
        grid.add_row("images", f"{p.before + p.done:,} of {p.total:,}", "candidates", f"{p.candidates:,}")
        grid.add_row(
            "a minute",
            f"{p.per_minute_now():,.0f} now, {p.per_minute():,.0f} on average",
            "unreadable",
            f"{p.refused:,}",
        )
        grid.add_row(
            "time", f"{duration(p.seconds)}, {duration(p.seconds_left())} left", "retried", f"{p.retries:,} blocks"
        )
        lines = [
            Text(f"{name or 'starting ...':<40.40} {'' if name is None else f'{100 * busy:3.0f}% busy'}", style="dim")
            for name, busy in p.devices[:8]
        ]
        if len(p.devices) > 8:
            lines.append(Text(f"and {len(p.devices) - 8} more devices", style="dim"))
        if p.waiting:
            lines.append(Text(f"{p.waiting} of them wait for a GPU that others use", style="dim"))
        bar = Table.grid(expand=True)
        bar.add_row(ProgressBar(total=max(1, p.total), completed=p.before + p.done))
        return Panel(Group(bar, grid, *lines), title="crater-ray scan", title_align="left")
