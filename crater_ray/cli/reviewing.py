"""The commands by which people look at candidates and judge them: gallery, review."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from crater_ray.cli import options
from crater_ray.cli.results import Flag, ImageTable, Sort

commands = typer.Typer()


@commands.command()
def gallery(
    run: options.RunPath,
    threshold: options.RunThreshold = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to.  (default: RUN-gallery)")] = None,
    table: ImageTable = None,
    sort: Sort = None,
    flag: Flag = None,
    pixel_size: options.PixelSize = None,
    mix: Annotated[
        float | None,
        typer.Option(
            "--mix", metavar="SHARE", help="Mix in so many planted craters and sure blanks, unmarked to the eye: 0.1."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Decides which --mix mixes in.")] = 0,
    whole_images: Annotated[bool, typer.Option(help="Copy the whole images too, so that each can be enlarged.")] = True,
    similar: Annotated[bool, typer.Option(help="Let the page show what looks like a candidate.")] = True,
    repeats: Annotated[bool, typer.Option(help="Fold what repeats, such as a speck at the same pixel.")] = True,
    anonymous: options.Anonymous = False,
    endpoint_url: options.Endpoint = None,
    requester_pays: options.RequesterPays = False,
) -> None:
    """Make pages of the candidates that open from disk, to look at them and to judge them by keyboard."""
    from crater_ray.completeness.scores import crater_scores
    from crater_ray.results.gallery.pages import show_written
    from crater_ray.results.gallery.run_gallery import default_folder, write_gallery
    from crater_ray.results.image_table import read_image_table
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access
    from crater_ray.volunteers.mixed import gold_for_gallery

    access = Access(endpoint_url, anonymous, requester_pays)
    with open_existing(run, access) as opened:
        image_table = read_image_table(table) if table else None
        access = replace(access, endpoint_url=endpoint_url or opened.record["settings"].get("endpoint_url"))
        gold = None
        if mix is not None:
            gold = gold_for_gallery(opened, mix, access, threshold=threshold, image_table=image_table, seed=seed)
        with options.progress_on_stderr("pictures") as tell:
            written = write_gallery(
                opened,
                out or default_folder(opened),
                access,
                threshold=threshold,
                image_table=image_table,
                pixel_nm=pixel_size,
                craters=crater_scores(opened),
                gold=gold,
                sort=sort,
                flags=flag or (),
                whole=whole_images,
                similar=similar,
                repeats=repeats,
                progress=tell,
            )
    show_written(written, options.console_on(sys.stdout))


@commands.command()
def review(
    run: options.RunPath,
    verdicts: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE...]", help="Saved by a gallery, or CSV with key and verdict.")
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", metavar="NAME", help="Who judged, where a file does not say so.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write what `python -m training retrain` takes.")
    ] = None,
    chances: Annotated[
        Path | None,
        typer.Option("--probabilities", metavar="FILE", help="Write how probable a crater is in each, as CSV."),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            "--prior",
            metavar="P",
            min=1e-6,
            max=0.999999,
            help="Share of craters among the judged, for that.  (default: the most likely one)",
        ),
    ] = None,
    any_run: Annotated[
        bool, typer.Option("--any-run", help="Also take verdicts given on another run over the same images.")
    ] = False,
    endpoint_url: options.Endpoint = None,
) -> None:
    """Keep people's verdicts with a run, and say what they say: precision so far, skill and agreement of reviewers."""
    from crater_ray.results.candidates import write_csv
    from crater_ray.results.review.gold import read_gold_verdicts
    from crater_ray.results.review.skill import probabilities, probability_table, skills
    from crater_ray.results.review.summary import show_review
    from crater_ray.results.review.verdicts import FOLDER, import_file, read_verdicts, training_table
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access
    from crater_ray.watching.display import say

    console = options.console_on(sys.stdout)
    with open_existing(run, Access(endpoint_url)) as opened:
        for path in verdicts or ():
            count = import_file(opened, path, reviewer, any_run)
            say(console, f"{count:,} verdicts from {path}")
        said, gold = read_verdicts(opened), read_gold_verdicts(opened, FOLDER)
        judged = show_review(opened, said, gold, console)
        if chances:
            combined = probabilities(said, skills(gold), prior)
            write_csv(probability_table(judged, said, combined), chances)
            say(console, f"probability of a crater, {judged.num_rows:,} images: {chances}")
        if export:
            table = training_table(judged)
            write_csv(table, export)
            say(console, f"for retraining, {table.num_rows:,} images: {export}")
