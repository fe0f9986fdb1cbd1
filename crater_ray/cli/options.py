"""What commands have in common: options, each declared once with its help, and the console they write to."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from crater_ray.engines.registry import as_help

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.settings import ScanSettings

RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="The run folder: a local path, s3://..., gs://... or az://...")
]
OutputRun = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="RUN",
        help="The new run's folder, or one to go on with: a local path, s3://..., gs://... or az://...",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="A storage service other than Amazon's, Google's or Azure's."),
]
RequesterPays = Annotated[
    bool, typer.Option("--requester-pays", help="Pay for the requests, where the bucket's owner does not (S3, Google).")
]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Read the archive without credentials.")]
RunThreshold = Annotated[
    float | None,
    typer.Option("--threshold", metavar="T", help="Images from this score on are candidates.  (default: the run's)"),
]
ListColumn = Annotated[
    str | None,
    typer.Option(
        "--column", metavar="NAME", help="The column of images in a key list; its number if the columns have no names."
    ),
]
PixelSize = Annotated[
    float | None,
    typer.Option(
        "--pixel-size", metavar="NM", min=1e-3, help="Width of a pixel in nm, instead of what the files say of it."
    ),
]
EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=as_help(),
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


@dataclass(frozen=True)
class ScanOptions:
    """The options of every command that scans; see `crater_ray.settings.ScanSettings`."""

    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="DIR", help="The network: a folder, or the name of a shipped one.  (default: default)"
        ),
    ] = None
    anonymous: Anonymous = False
    endpoint_url: Endpoint = None
    requester_pays: RequesterPays = False
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N images.")] = None
    sample: Annotated[int | None, typer.Option("--sample", metavar="N", help="Only N images at random.")] = None
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides which images --sample takes.")] = 0
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", metavar="T", help="Images from this score on are candidates.  (default: the bundle's)"
        ),
    ] = None
    engine: EngineName = "auto"
    screen: Screening = False
    crop: Annotated[
        str,
        typer.Option(
            "--crop",
            metavar="PART",
            help="What to look at: auto (all but an information bar), none (all), 1024x884+0+0, or what to leave out, "
            "as bottom=64.",
        ),
    ] = "auto"
    pixel_size: PixelSize = None
    shard_images: Annotated[
        int, typer.Option("--shard-images", metavar="N", help="Images that are published together.")
    ] = 1_000
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDR", help="A Ray cluster to use.  (default: this machine alone)"),
    ] = None
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Append a log to this file: one JSON object a line."),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long; write nothing.")] = False

    def settings(self, source: str, out: str, base: str | None = None, column: str | None = None) -> ScanSettings:
        """The settings of a scan.

        Args:
            source: the archive; of a rescan, the earlier run.
            out: the run folder.
            base: for key lists, what relative entries are relative to.
            column: for key lists that are tables, the column of images.
        """
        from crater_ray.images.crop import Crop
        from crater_ray.network.bundle import DEFAULT
        from crater_ray.runs.manifest import Selection
        from crater_ray.settings import ScanSettings
        from crater_ray.storage.access import Access

        return ScanSettings(
            source=source,
            out=out,
            bundle=self.bundle or DEFAULT,
            access=Access(self.endpoint_url, self.anonymous, self.requester_pays),
            base=base,
            column=column,
            selection=Selection(self.limit, self.sample, self.seed),
            threshold=self.threshold,
            engine=self.engine,
            screen=self.screen,
            crop=Crop(self.crop),
            pixel_nm=self.pixel_size,
            shard_images=self.shard_images,
            address=self.address,
            log=self.log,
        )


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the fields of its one parameter that is a dataclass as options of its own.

    Several commands thus share options, with their names, defaults and help, that are declared once.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters.values()
    [shared] = [name for name, hint in hints.items() if is_dataclass(hint)]
    group = hints[shared]
    named = [(one.name, hints[one.name], one.default) for one in parameters if one.name != shared]
    own = {name for name, _, _ in named}
    types = get_type_hints(group, include_extras=True)
    named += [(field.name, types[field.name], field.default) for field in fields(group)]

    def run(**given: Any) -> None:
        mine = {name: given.pop(name) for name in own}
        command(**mine, **{shared: group(**given)})

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {name: hint for name, hint, _ in named}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for name, hint, default in named
        ]
    )
    return run


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
