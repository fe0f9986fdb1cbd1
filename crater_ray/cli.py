"""The commands. Each one reads its arguments, calls the one module that does the work, and shows what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crater_ray.errors import CraterRayError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="crater-ray",
    help="Scan archives of microscope images for tiny impact craters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunPath = Annotated[str, typer.Argument(metavar="RUN", help="The run folder: a local path or s3://bucket/prefix.")]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="An S3-compatible service other than Amazon's."),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", metavar="T", help="Images from this score on are candidates.  [default: the bundle's]"),
]


@app.command()
def scan(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A folder, s3://bucket/prefix, or a key list (.txt, .csv, .parquet)."),
    ],
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="The run folder: a local path or s3://...")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="DIR", help="The network.  [default: the one shipped]")
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Read the archive without credentials.")] = False,
    endpoint_url: Endpoint = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR", help="What a key list's entries are relative to.  [default: its folder]"),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N images.")] = None,
    sample: Annotated[int | None, typer.Option("--sample", metavar="N", help="Only N images at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides which images --sample takes.")] = 0,
    threshold: Threshold = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="NAME", help="How the network is computed: auto, keras, stand-in.")
    ] = "auto",
    shard_images: Annotated[
        int, typer.Option("--shard-images", metavar="N", help="Images that are published together.")
    ] = 1_000,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDR", help="A Ray cluster to use.  [default: this machine alone]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long; write nothing.")] = False,
) -> None:
    """Score every image of an archive. The same command again goes on where a stopped scan left off."""
    from crater_ray.bundle import DEFAULT
    from crater_ray.manifest import Selection
    from crater_ray.report import show_outcome
    from crater_ray.scan import ScanSettings
    from crater_ray.scan import scan as run_scan
    from crater_ray.storage import Access

    settings = ScanSettings(
        source=source,
        out=out,
        bundle=bundle or DEFAULT,
        access=Access(endpoint_url, anonymous),
        base=base,
        selection=Selection(limit, sample, seed),
        threshold=threshold,
        engine=engine,
        shard_images=shard_images,
        address=address,
    )
    console = _console()
    if dry_run:
        from crater_ray.dry_run import dry_run as rehearse

        rehearse(settings, console)
        return
    try:
        outcome = run_scan(settings, console)
    except KeyboardInterrupt:
        console.print(
            "Stopped. Everything that was finished is kept; run the same command again to go on.", highlight=False
        )
        raise typer.Exit(1) from None
    show_outcome(outcome, console)
    if outcome.failed:
        raise typer.Exit(1)


@app.command()
def verify(run: RunPath, endpoint_url: Endpoint = None) -> None:
    """Check that every image of the manifest has exactly one row. Exit 0 only if so."""
    from crater_ray.report import show_check
    from crater_ray.run import open_existing
    from crater_ray.storage import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        check = opened.check()
        declared = opened.success() is not None
        show_check(opened, check, declared, _console(sys.stdout))
    if not check.whole:
        raise typer.Exit(1)


@app.command()
def status(run: RunPath, endpoint_url: Endpoint = None) -> None:
    """Show how far a run is: shards done and missing, images a minute, counts by status."""
    from crater_ray.report import show_status
    from crater_ray.run import open_existing
    from crater_ray.storage import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        show_status(opened, opened.check(), _console(sys.stdout))


@app.command()
def candidates(
    run: RunPath,
    threshold: Threshold = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="IMAGES.csv", help="The image table to join by key."),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write all candidates, Prediction and FileName first; - for stdout."
        ),
    ] = None,
    endpoint_url: Endpoint = None,
) -> None:
    """List the images at or above a score, best first."""
    from crater_ray.candidates import list_candidates, read_image_table, show_candidates, write_csv
    from crater_ray.run import open_existing
    from crater_ray.storage import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        image_table = read_image_table(table) if table else None
        cut = opened.threshold if threshold is None else threshold
        found = list_candidates(opened, cut, image_table)
        if csv:
            write_csv(found, csv)
        if csv != "-":
            show_candidates(found, cut, opened, csv, _console(sys.stdout))


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    images: Annotated[int, typer.Option("--images", metavar="N", help="How many images.")],
    craters: Annotated[int, typer.Option("--craters", metavar="M", help="How many of them get a crater.")],
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Same seed, same bytes.")] = 0,
) -> None:
    """Make foil images with planted craters in the site's layout, and labels.csv with where they are."""
    from rich.progress import Progress

    from crater_ray.simulate import simulate_archive

    console = _console()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("simulating", total=images)
        labels = simulate_archive(
            out, images, craters, seed, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    console.print(f"{images:,} images, {craters:,} with a crater: {labels}", highlight=False, soft_wrap=True)


@app.command()
def demo(out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]) -> None:
    """Simulate a small archive, scan it, and say how many planted craters were found."""
    from crater_ray.demo import demonstrate

    demonstrate(out, _console(sys.stdout))


def _console(file: object = None) -> Console:
    from rich.console import Console

    stream = file or sys.stderr
    return Console(file=stream)  # type: ignore[arg-type]


def main() -> None:
    """Run the command line; problems end in a line for the user, not in a traceback."""
    try:
        app(standalone_mode=True)
    except CraterRayError as problem:
        print(f"crater-ray: {problem}", file=sys.stderr)  # noqa: T201
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        print("crater-ray: stopped", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
