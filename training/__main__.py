"""The command line: `python -m training COMMAND`."""

from __future__ import annotations

import sys

import typer

from crater_ray.errors import CraterRayError, not_installed
from training.cli import data_sets, distillation, evaluation, finder, fitting, reproduction, retraining

app = typer.Typer(
    help="Make a network: data sets, fitting, evaluation, the older methods, explanation, retraining.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(data_sets.synthesize)
app.command()(fitting.fit)
app.command()(fitting.calibrate)
app.command()(distillation.distill)
app.command("finder-sources")(finder.sources)
app.command("finder-textures")(finder.textures)
app.command("finder-fit")(finder.fit)
app.command("finder-mine")(finder.mine)
app.command("finder-bundle")(finder.bundle)
app.command()(evaluation.evaluate)
app.command("older-methods")(evaluation.older_methods)
app.command()(evaluation.trials)
app.command()(evaluation.explain)
app.command()(retraining.retrain)
app.command()(reproduction.reproduce)


def main() -> None:
    """Run a command; explain a problem in one line and exit 2 for wrong use, 1 for failure."""
    try:
        app()
    except ModuleNotFoundError as missing:
        print(f"Error: {not_installed(missing)}", file=sys.stderr)
        raise SystemExit(1) from None
    except CraterRayError as problem:
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(problem.exit_code) from None


if __name__ == "__main__":
    main()
