"""The command that finds what looks alike: similar."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crater_ray.cli.options import (
    Anonymous,
    Endpoint,
    RequesterPays,
    RunPath,
    RunThreshold,
    console_on,
    progress_on_stderr,
)

commands = typer.Typer()


@commands.command()
def similar(
    run: RunPath,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The image's key.")],
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="So many of the most alike.")] = 20,
    threshold: RunThreshold = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="DIR", help="The network that describes them.  (default: the run's)"),
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write them, similarity and key first; - for stdout.")
    ] = None,
    anonymous: Anonymous = False,
    endpoint_url: Endpoint = None,
    requester_pays: RequesterPays = False,
) -> None:
    """Show the candidates that look most like one. What the network sees of each is kept with the run."""
    from rich.markup import escape
    from rich.table import Table

    from crater_ray.results.candidates import write_csv
    from crater_ray.results.similar.describe import network_of
    from crater_ray.results.similar.search import look_for
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access
    from crater_ray.watching.display import say

    access = Access(endpoint_url, anonymous, requester_pays)
    with open_existing(run, access) as opened, progress_on_stderr("looking at candidates") as tell:
        found, described = look_for(opened, key, top, access, network_of(opened, bundle), threshold, tell)
    for reason, count in list(described.problems.items())[:5]:
        say(console_on(), f"{count:,} left out: {reason}")
    if described.unkept:
        say(console_on(), f"what was seen could not be kept with the run: {described.unkept}")
    if csv:
        write_csv(found, csv)
    if csv == "-":
        return
    console = console_on(sys.stdout)
    table = Table()
    for name, justify in (("similarity", "right"), ("score", "right"), ("key", "left"), ("x", "right"), ("y", "right")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in found.to_pylist():
        shown = escape(repr(row["key"])[1:-1])
        numbers = (f"{row['similarity']:.3f}", f"{row['score']:.4f}")
        table.add_row(*numbers, shown, f"{row['x']:.0f}", f"{row['y']:.0f}")
    console.print(table)
    say(console, f"most like {key!r} of {described.table.num_rows:,} candidates with a place")
