"""The command line as a whole: the groups of commands put together, and how problems end."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from crater_ray import __version__
from crater_ray.cli import (
    calibrating,
    checking,
    likening,
    measuring,
    repeating,
    results,
    reviewing,
    scanning,
    simulating,
    volunteering,
)
from crater_ray.errors import CraterRayError

app = typer.Typer(
    name="crater-ray",
    help="Scan archives of microscope images for tiny impact craters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crater-ray {__version__}")
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for group in (
    scanning,
    checking,
    results,
    likening,
    repeating,
    reviewing,
    measuring,
    volunteering,
    calibrating,
    simulating,
):
    app.add_typer(group.commands)


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
