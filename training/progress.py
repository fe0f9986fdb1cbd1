"""A progress bar with the time left, on the terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(things: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of `things` are done; gives a function to be called with done and wanted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(things), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(things, total=None)
        yield lambda done, wanted: progress.update(task, completed=done, total=wanted)
