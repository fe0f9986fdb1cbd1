"""The command that finds artefacts that repeat: repeats."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crater_ray.cli.options import Endpoint, PixelSize, RunPath, RunThreshold, console_on
from crater_ray.cli.results import ImageTable

commands = typer.Typer()
SHOWN = 20


@commands.command()
def repeats(
    run: RunPath,
    threshold: RunThreshold = None,
    table: ImageTable = None,
    pixel_size: PixelSize = None,
    within: Annotated[
        float,
        typer.Option("--within", metavar="UM", min=1e-3, help="How far apart one spot of the foil may seem, in um."),
    ] = 1.0,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write every candidate that repeats; - for stdout.")
    ] = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Find candidates at the same pixel of many images, or at the same spot of the foil in frames that overlap."""
    from rich.markup import escape
    from rich.table import Table

    from crater_ray.results.candidates import write_csv
    from crater_ray.results.image_table import join, read_image_table
    from crater_ray.results.open_run import Results
    from crater_ray.results.repeats.find import as_table, find_repeats
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access
    from crater_ray.watching.display import say

    with open_existing(run, Access(endpoint_url)) as opened:
        image_table = read_image_table(table) if table else None
        candidates = join(Results(opened).candidates(threshold), image_table)
    found = find_repeats(candidates, pixel_size, within)
    if csv:
        write_csv(as_table(found, candidates), csv)
    if csv == "-":
        return
    console = console_on(sys.stdout)
    shown = Table("candidates", "what", "best", "such as")
    keys, scores = candidates["key"].to_pylist(), candidates["score"].to_pylist()
    for repeat in found.found[:SHOWN]:
        best = max(repeat.members, key=lambda member: scores[member])
        name = escape(repr(keys[best])[1:-1])
        shown.add_row(f"{len(repeat.members):,}", escape(repeat.name), f"{scores[best]:.4f}", name)
    if found.found:
        console.print(shown)
    members = sum(len(repeat.members) for repeat in found.found)
    say(
        console,
        f"{len(found.found):,} things repeat, {members:,} of {found.candidates:,} candidates; none is left out for it",
    )
    if found.note:
        say(console, f"spots of the foil were not compared: {found.note}")
