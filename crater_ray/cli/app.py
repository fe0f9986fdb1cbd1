"""The commands. Each one reads its arguments, calls the one module that does the work, and shows what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli.options import (
    Address,
    Anonymous,
    Endpoint,
    EngineName,
    Log,
    RunPath,
    Screening,
    ShardImages,
    Threshold,
    console_on,
)
from crater_ray.cli.results import commands
from crater_ray.errors import CraterRayError

app = typer.Typer(
    name="crater-ray",
    help="Scan archives of microscope images for tiny impact craters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def scan(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A folder, s3://bucket/prefix, or a key list (.txt, .csv, .parquet)."),
    ],
    out: Annotated[str, typer.Option("--out", metavar="RUN", help="The run folder: a local path or s3://...")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="DIR", help="The network.  (default: the one shipped)")
    ] = None,
    anonymous: Anonymous = False,
    endpoint_url: Endpoint = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="DIR", help="What a key list's entries are relative to.  (default: its folder)"),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N images.")] = None,
    sample: Annotated[int | None, typer.Option("--sample", metavar="N", help="Only N images at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides which images --sample takes.")] = 0,
    threshold: Threshold = None,
    engine: EngineName = "auto",
    screen: Screening = False,
    shard_images: ShardImages = 1_000,
    address: Address = None,
    log: Log = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run and how long; write nothing.")] = False,
) -> None:
    """Score every image of an archive. The same command again goes on where a stopped scan left off."""
    from crater_ray.cli.reports import show_outcome
    from crater_ray.network.bundle import DEFAULT
    from crater_ray.runs.manifest import Selection
    from crater_ray.scanning.scan import scan as run_scan
    from crater_ray.settings import ScanSettings
    from crater_ray.storage.s3 import Access

    settings = ScanSettings(
        source=source,
        out=out,
        bundle=bundle or DEFAULT,
        access=Access(endpoint_url, anonymous),
        base=base,
        selection=Selection(limit, sample, seed),
        threshold=threshold,
        engine=engine,
        screen=screen,
        shard_images=shard_images,
        address=address,
        log=log,
    )
    console = console_on()
    if dry_run:
        from crater_ray.scanning.dry_run import dry_run as rehearse

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
    from crater_ray.cli.reports import show_check
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.s3 import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        check = opened.check()
        declared = opened.success() is not None
        show_check(opened, check, declared, console_on(sys.stdout))
    if not check.whole:
        raise typer.Exit(1)


@app.command()
def status(run: RunPath, endpoint_url: Endpoint = None) -> None:
    """Show how far a run is: shards done and missing, images a minute, counts by status."""
    from crater_ray.cli.reports import show_status
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.s3 import Access

    with open_existing(run, Access(endpoint_url)) as opened:
        show_status(opened, opened.check(), console_on(sys.stdout))


app.add_typer(commands)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    images: Annotated[int, typer.Option("--images", metavar="N", help="How many images.")],
    craters: Annotated[int, typer.Option("--craters", metavar="M", help="How many of them get a crater.")],
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Same seed, same bytes.")] = 0,
    foil: Annotated[
        int | None, typer.Option("--foil", metavar="F", help="All images show this foil.  (default: each one another)")
    ] = None,
) -> None:
    """Make foil images with planted craters in the site's layout, and labels.csv with where they are."""
    from rich.progress import Progress

    from crater_ray.simulate import simulate_archive

    console = console_on()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("simulating", total=images)
        labels = simulate_archive(
            out,
            images,
            craters,
            seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            foil=foil,
        )
    console.print(f"{images:,} images, {craters:,} with a crater: {labels}", highlight=False, soft_wrap=True)


@app.command()
def demo(out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")]) -> None:
    """Simulate a small archive, scan it, and say how many planted craters were found."""
    from crater_ray.cli.demo import demonstrate

    demonstrate(out, console_on(sys.stdout))


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
