"""A measurement's record: what was measured, how, where, with what spread; printed as a table, kept as JSON."""

from __future__ import annotations

import json
import shlex
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.environment import environment
from crater_ray.errors import UsageError

FORMAT = 1


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, extremes and all values of repeated measurements, as JSON values.

    Args:
        values: at least one.
    """
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "values": [float(value) for value in values],
    }


class Record:
    """One run of a benchmark.

    Args:
        benchmark: name of the command.
        settings: what it was told, as JSON values.
        images: what the image set was, as JSON values.
    """

    def __init__(self, benchmark: str, settings: dict[str, Any], images: dict[str, Any] | None = None) -> None:
        self.benchmark = benchmark
        self.settings = settings
        self.images = images or {}
        self.figures: dict[str, Any] = {}
        self.command = _command(benchmark)
        self.started = _now()
        self.environment = environment()

    def content(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "command": self.command,
            "started": self.started,
            "ended": _now(),
            "settings": self.settings,
            "images": self.images,
            "environment": self.environment,
            "figures": self.figures,
        }

    def write(self, path: Path | None) -> None:
        """Write the record; nothing is written without a path."""
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.content(), indent=2) + "\n", encoding="utf-8")
        except OSError as problem:
            raise UsageError(f"--json {str(path)!r} cannot be written: {problem}") from None

    def show(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        """Print a table, what its figures mean, and where they were taken."""
        console = Console()
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        if note:
            console.print(note, highlight=False, markup=False)
        place = self.environment
        console.print(
            f"{place['cores']} cores of {place['processor']}"
            + "".join(f", {name}" for name in place["gpus"])
            + f"; load before {place['load_average_before'][0]}",
            highlight=False,
            markup=False,
            style="dim",
        )


def read(path: Path) -> dict[str, Any]:
    """Read a record back.

    Raises:
        UsageError: it is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{str(path)!r} is not a benchmark's JSON: {problem}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or "figures" not in content:
        raise UsageError(f"{str(path)!r} is not a benchmark's JSON of format {FORMAT}.")
    return content


def _command(benchmark: str) -> str:
    """The command as another would type it: without --json, and with the names of files instead of whole paths."""
    words = sys.argv[1:] if sys.argv[1:2] == [benchmark] else [benchmark]
    if "--json" in words:
        at = words.index("--json")
        del words[at : at + 2]
    return shlex.join(["python", "-m", "benchmarks", *(Path(word).name if "/" in word else word for word in words)])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
