"""The commands that work with results: candidates, compare, merge."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli.options import (
    Anonymous,
    Endpoint,
    PixelSize,
    RequesterPays,
    RunPath,
    RunThreshold,
    console_on,
    progress_on_stderr,
)

commands = typer.Typer()

ImageTable = Annotated[
    Path | None, typer.Option("--table", metavar="IMAGES.csv", help="The image table to join by key.")
]

Sort = Annotated[
    str | None,
    typer.Option("--sort", metavar="COLUMN", help="Instead of by score: by a column, as focus, or -noise for falling."),
]
Flag = Annotated[
    list[str] | None,
    typer.Option("--flag", metavar="CONDITION", help="Flag images whose row meets it, as 'focus < 1.1'; repeatable."),
]


@commands.command()
def candidates(
    run: RunPath,
    threshold: RunThreshold = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="N|P%", help="Instead: so many of the best, such as 500 or 4% of the run."),
    ] = None,
    table: ImageTable = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write all candidates, Prediction and FileName first; - for stdout."
        ),
    ] = None,
    per_foil: Annotated[
        Path | None,
        typer.Option(
            "--per-foil",
            metavar="DIR",
            help="Write a CSV for each foil, and foils.csv; with --budget, each foil has a threshold of its own.",
        ),
    ] = None,
    reimage: Annotated[
        Path | None,
        typer.Option("--reimage", metavar="FILE", help="Write where to look again at higher magnification, as CSV."),
    ] = None,
    false_alarms: Annotated[
        Path | None,
        typer.Option(
            "--false-alarms", metavar="FILE", help="Write how many blanks to expect, by foil and score, as CSV."
        ),
    ] = None,
    sort: Sort = None,
    flag: Flag = None,
    pixel_size: PixelSize = None,
    endpoint_url: Endpoint = None,
) -> None:
    """List the images at or above a score, best first."""
    from crater_ray.completeness.scores import crater_scores
    from crater_ray.errors import UsageError
    from crater_ray.results import candidates as lists
    from crater_ray.results.false_alarms import report as expectations
    from crater_ray.results.false_alarms.per_foil import allot, within, write_shares
    from crater_ray.results.image_table import read_image_table
    from crater_ray.results.order import flagged, in_order
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    if budget is not None and threshold is not None:
        raise UsageError("--budget and --threshold exclude each other: give one.")
    with open_existing(run, Access(endpoint_url)) as opened:
        image_table = read_image_table(table) if table else None
        cut = opened.threshold if threshold is None else threshold
        most = None if budget is None else lists.read_budget(budget, opened.manifest.images)
        alarms = None
        if most is not None or false_alarms:
            alarms = expectations.false_alarms(opened, image_table, crater_scores(opened))
        shares = allot(alarms.foils, most) if alarms and most is not None and per_foil else None
        if shares is not None:
            cut = min([one.threshold for one in shares if one.taken], default=1.0)
        elif most is not None:
            cut = lists.threshold_for_budget(opened, most)
        found = lists.list_candidates(opened, cut, image_table, pixel_size)
        found = found.slice(0, most) if shares is None else within(found, shares, image_table)
        found = in_order(flagged(found, flag or ()), sort)
        written = []
        if csv:
            lists.write_csv(found, csv)
            written.append(f"all of them: {csv}")
        if per_foil:
            if alarms and shares is not None:
                foils = write_shares(found, alarms.foils, shares, image_table, per_foil)
            else:
                foils = lists.write_foils(found, per_foil)
            written.append(f"by foil ({foils:,} foils): {per_foil}")
        if reimage:
            lists.write_csv(lists.reimaging_list(found), reimage)
            written.append(f"for re-imaging: {reimage}")
        if false_alarms and alarms:
            expectations.write_table(alarms, false_alarms, [cut])
            written.append(f"blanks to expect: {false_alarms}")
        if csv != "-":
            console = console_on(sys.stdout)
            lists.show_candidates(found, None if shares else cut, opened, written, console)
            if alarms and most:
                expectations.show_expected(alarms.of(shares) if shares else alarms.at([cut]), alarms, console)


@commands.command()
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="The earlier run.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The later run.")],
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="T", help="Lowest score of a candidate.  (default: each run's own)"),
    ] = None,
    distance: Annotated[
        float, typer.Option("--distance", metavar="PX", min=0, help="Candidates farther apart than this have moved.")
    ] = 46.0,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write gained, lost and moved candidates; - for stdout.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="DIR", help="Write pages with pictures of them.")
    ] = None,
    table: ImageTable = None,
    pixel_size: PixelSize = None,
    anonymous: Anonymous = False,
    endpoint_url: Endpoint = None,
    requester_pays: RequesterPays = False,
) -> None:
    """Show what changed from one run to another: gained, lost and moved candidates, agreement of scores."""
    from crater_ray.results.candidates import write_csv
    from crater_ray.results.compare.comparison import compare as compare_runs
    from crater_ray.results.compare.page import write_page
    from crater_ray.results.compare.summary import show_comparison
    from crater_ray.results.gallery.pages import show_written
    from crater_ray.results.image_table import read_image_table
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    console = console_on(sys.stdout)
    access = Access(endpoint_url, anonymous, requester_pays)
    with open_existing(run_a, access) as a, open_existing(run_b, access) as b:
        image_table = read_image_table(table) if table else None
        comparison = compare_runs(a, b, threshold, distance)
        if csv:
            write_csv(comparison.changes, csv)
        if csv != "-":
            show_comparison(comparison, a, b, distance, console)
        if page:
            images = replace(access, endpoint_url=endpoint_url or b.record["settings"].get("endpoint_url"))
            with progress_on_stderr("pictures") as tell:
                written = write_page(
                    comparison, a, b, page, images, image_table=image_table, pixel_nm=pixel_size, progress=tell
                )
            show_written(written, console_on(sys.stderr if csv == "-" else sys.stdout))


@commands.command()
def merge(
    run: RunPath,
    rescans: Annotated[list[str], typer.Argument(metavar="RESCAN...", help="Rescans of it; later ones win.")],
    out: Annotated[str, typer.Option("--out", metavar="MERGED", help="The new run's folder.")],
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", metavar="T", help="The new run's.  (default: the last rescan's)"),
    ] = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Combine a run with rescans of some of its images into one complete new run; the newest row of an image counts."""
    from contextlib import ExitStack

    from crater_ray.results.merge import merge as merge_runs
    from crater_ray.results.merge import show_merged
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    access = Access(endpoint_url)
    with ExitStack() as stack:
        base, *others = (stack.enter_context(open_existing(uri, access)) for uri in (run, *rescans))
        merged = merge_runs(base, others, out, access, threshold)
    show_merged(merged, console_on(sys.stdout))
