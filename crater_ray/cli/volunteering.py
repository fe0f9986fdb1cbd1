"""The commands for volunteers: what they are shown of a run is exported, what they say is imported."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    spread,
)
from crater_ray.cli.results import ImageTable

if TYPE_CHECKING:
    from crater_ray.storage.access import Access
    from crater_ray.volunteers.export import Chosen, Exported

commands = typer.Typer()
exports = typer.Typer(name="export", help="Make what volunteers are shown of a run.", no_args_is_help=True)
imports = typer.Typer(name="import", help="Make verdicts of what volunteers said.", no_args_is_help=True)
commands.add_typer(exports)
commands.add_typer(imports)

Out = Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")]


@dataclass(frozen=True)
class ExportOptions:
    """What all exports can be told."""

    threshold: RunThreshold = None
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="N|P%", help="Instead: so many of the best, such as 500 or 4% of the run."),
    ] = None
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", min=0, help="Decides which gold standards, and the order.")
    ] = 0
    table: ImageTable = None
    anonymous: Anonymous = False
    endpoint_url: Endpoint = None
    requester_pays: RequesterPays = False

    @property
    def access(self) -> Access:
        """How to reach the run and its images."""
        from crater_ray.storage.access import Access

        return Access(self.endpoint_url, self.anonymous, self.requester_pays)

    def chosen(self, images: int, gold: int, pixel_size: float | None = None) -> Chosen:
        """What is exported of a run of so many images, with so many gold standards."""
        from crater_ray.errors import UsageError
        from crater_ray.results.candidates import read_budget
        from crater_ray.results.image_table import read_image_table
        from crater_ray.volunteers.export import Chosen

        if self.budget is not None and self.threshold is not None:
            raise UsageError("--budget and --threshold exclude each other: give one.")
        most = None if self.budget is None else read_budget(self.budget, images)
        table = read_image_table(self.table) if self.table else None
        return Chosen(self.threshold, most, gold, self.seed, table, pixel_size, self.access)


@exports.command()
@spread
def zooniverse(
    run: RunPath,
    out: Out,
    gold: Annotated[
        int, typer.Option("--gold", metavar="N", min=0, help="Gold standards to mix in: half with a planted crater.")
    ] = 100,
    feedback: Annotated[
        bool, typer.Option("--feedback/--no-feedback", help="Tell the feedback tool the answers of gold standards.")
    ] = True,
    whole: Annotated[
        bool, typer.Option("--whole", help="Show whole images instead of what is around each place, enlarged.")
    ] = False,
    pixel_size: PixelSize = None,
    *,
    options: ExportOptions,
) -> None:
    """Subject sets for Zooniverse: pictures, manifests and gold standards, mixed."""
    from crater_ray.runs.run import open_existing
    from crater_ray.volunteers.export import export_zooniverse
    from crater_ray.watching.display import say

    with open_existing(run, options.access) as opened, progress_on_stderr("pictures") as tell:
        chosen = options.chosen(opened.manifest.images, gold, pixel_size)
        done = export_zooniverse(opened, out, chosen, whole=whole, feedback=feedback, progress=tell)
    console = console_on(sys.stdout)
    say(console, f"{done.candidates:,} candidates and {done.gold:,} gold standards in {done.sets} sets: {done.out}")
    _show_problems(done)
    say(console, f"which subject is which image: {done.kept}")
    say(console, f"how to set the project up: {done.out / 'read-me.txt'}")


@exports.command()
@spread
def foil_search(
    run: RunPath,
    out: Out,
    calibration: Annotated[
        int, typer.Option("--calibration", metavar="N", min=0, help="Calibration images, with a planted crater each.")
    ] = 100,
    *,
    options: ExportOptions,
) -> None:
    """For the foil search's own site: the candidates' keys, and calibration images."""
    from crater_ray.runs.run import open_existing
    from crater_ray.volunteers.export import export_foil_search
    from crater_ray.watching.display import say

    with open_existing(run, options.access) as opened, progress_on_stderr("pictures") as tell:
        chosen = options.chosen(opened.manifest.images, calibration)
        done = export_foil_search(opened, out, chosen, tell)
    console = console_on(sys.stdout)
    say(console, f"{done.candidates:,} keys: {done.out / 'keys.txt'}")
    say(console, f"{done.gold:,} calibration images: {done.out / 'calibration'}")
    say(console, f"what they hold, not to be published: {done.out / 'calibration.csv'}")
    _show_problems(done)


@imports.command("zooniverse")
def take_zooniverse(
    run: RunPath,
    classifications: Annotated[
        Path, typer.Argument(metavar="CLASSIFICATIONS.csv", help="The project's classification export.")
    ],
    csv: Annotated[Path, typer.Option("--csv", metavar="FILE", help="Where to write the verdicts, for `review`.")],
    gold: Annotated[
        Path | None, typer.Option("--gold", metavar="FILE", help="Write what was said of gold standards, as CSV.")
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            "--answer", metavar="TEXT=VERDICT", help="An answer of the project, as 'Impact=crater'; repeatable."
        ),
    ] = None,
    workflow: Annotated[
        str | None, typer.Option("--workflow", metavar="ID", help="Only classifications of this workflow.")
    ] = None,
    endpoint_url: Endpoint = None,
) -> None:
    """Make verdicts of a classification export of Zooniverse."""
    from crater_ray.results.intervals import wilson
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access
    from crater_ray.volunteers import classifications as back
    from crater_ray.volunteers.subjects import kept
    from crater_ray.watching.display import say

    answers = back.read_answers(answer or ())
    with open_existing(run, Access(endpoint_url)) as opened:
        read = back.read_classifications(classifications, kept(opened), answers, workflow)
        place = opened.folder.uri
    back.write_rows(read.verdicts, back.VERDICT_COLUMNS, csv)
    console = console_on(sys.stdout)
    images, people = ({one[name] for one in read.verdicts} for name in ("key", "reviewer"))
    say(console, f"{len(read.verdicts):,} verdicts by {len(people):,} volunteers on {len(images):,} images: {csv}")
    for truth, words in (("crater", "craters recognised"), ("not", "blanks recognised")):
        right, judged = read.recognised(truth)
        if judged:
            low, high = wilson(right, judged)
            share = f"{100 * right / judged:.1f}% (95% interval {100 * low:.1f}-{100 * high:.1f}%)"
            say(console, f"gold standards: {right:,} of {judged:,} {words}, {share}")
    if gold is not None:
        back.write_rows(read.gold, back.GOLD_COLUMNS, gold)
        say(console, f"what was said of gold standards: {gold}")
    for reason, count in read.passed_over.most_common():
        say(console, f"{count:,} classifications passed over: {reason}")
    say(console, f"next: crater-ray review {place} {csv}")


def _show_problems(done: Exported) -> None:
    from crater_ray.watching.display import say

    for reason, count in list(done.problems.items())[:5]:
        say(console_on(sys.stdout), f"{count:,} left out: {reason}")
