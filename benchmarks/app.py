"""The benchmark commands: `python -m benchmarks COMMAND`. Each measures one thing, in fresh processes."""

from __future__ import annotations

import typer

from benchmarks.agreement import agreement
from benchmarks.archive import archive
from benchmarks.chaos import chaos
from benchmarks.completeness import completeness
from benchmarks.forward import forward
from benchmarks.frames import frames
from benchmarks.gallery import gallery
from benchmarks.here import here
from benchmarks.kills import kills
from benchmarks.large_run import large_run
from benchmarks.manifest import manifest
from benchmarks.memory import memory
from benchmarks.node_loss import node_loss
from benchmarks.paper import paper
from benchmarks.peers import peers
from benchmarks.per_foil import per_foil
from benchmarks.places import places
from benchmarks.planting import planting
from benchmarks.readme import readme
from benchmarks.rescan import rescan
from benchmarks.scale import scale
from benchmarks.scan import scan
from benchmarks.screening import screening
from benchmarks.similar import similar
from benchmarks.stages import stages
from benchmarks.start import start

app = typer.Typer(
    name="python -m benchmarks",
    help="Measure crater-ray. Every command prints a table; --json FILE keeps the figures and the environment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def commands() -> None:
    """Measure crater-ray. Every command prints a table; --json FILE keeps the figures and the environment."""


measuring = (
    here,
    scan,
    paper,
    forward,
    frames,
    stages,
    start,
    peers,
    scale,
    archive,
    agreement,
    screening,
    places,
    completeness,
    planting,
    per_foil,
    rescan,
    gallery,
    similar,
    memory,
    manifest,
    large_run,
)
disturbing = (kills, node_loss, chaos)
for command in (*measuring, *disturbing, readme):
    app.command()(command)
