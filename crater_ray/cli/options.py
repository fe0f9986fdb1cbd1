"""What several commands have in common: arguments with their help, and the console they write to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

RunPath = Annotated[str, typer.Argument(metavar="RUN", help="The run folder: a local path or s3://bucket/prefix.")]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="An S3-compatible service other than Amazon's."),
]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Read the archive without credentials.")]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", metavar="T", help="Images from this score on are candidates.  (default: the bundle's)"),
]
RunThreshold = Annotated[
    float | None,
    typer.Option("--threshold", metavar="T", help="Images from this score on are candidates.  (default: the run's)"),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="How the network is computed: auto, keras, keras-bf16, openvino (int8), openvino-bf16, openvino-float; "
        "stand-in computes none, to try everything around it.",
    ),
]
Screening = Annotated[
    bool,
    typer.Option(
        "--screen",
        help="Let the bundle's small screening network look first, and the full one only at what it finds suspicious; "
        "audited.",
    ),
]
ShardImages = Annotated[int, typer.Option("--shard-images", metavar="N", help="Images that are published together.")]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="ADDR", help="A Ray cluster to use.  (default: this machine alone)"),
]

Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Append a log to this file: one JSON object a line."),
]


def console_on(file: object = None) -> Console:
    """A console on a stream; on standard error when none is given."""
    from rich.console import Console

    return Console(file=file or sys.stderr)  # type: ignore[arg-type]


@contextmanager
def progress_on_stderr(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; gives the function to call with what is done and what there is."""
    from rich.progress import Progress

    with Progress(console=console_on(), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
