"""Whether a threshold of its own for each foil finds more craters than one for all, within the same review budget."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from benchmarks import options
from benchmarks.completeness import make_archive
from benchmarks.record import Record
from crater_ray.results.false_alarms.foils import scores_by_foil
from crater_ray.results.false_alarms.forecast import forecasts
from crater_ray.results.false_alarms.per_foil import allot
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run, open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings

BUDGETS = (0.02, 0.04, 0.08, 0.16)
"""Of a run's images; a crater is found when its image is among those to review."""

MEANING = (
    "An archive of several simulated foils, each with its own texture, noise and focus; craters by the formulas of the "
    "foreign test set, as many in each. Craters whose images are among the budget's: the best of the run by score, and "
    "the best of each foil by the share of its own blanks that score as high."
)


def per_foil(
    foils: Annotated[int, typer.Option("--foils", metavar="N", min=1, help="In the archive.")] = 4,
    images: Annotated[int, typer.Option("--images", metavar="N", min=10, help="Of each foil.")] = 600,
    craters: Annotated[int, typer.Option("--craters", metavar="N", min=1, help="Of each foil.")] = 24,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides all that is drawn.")] = 0,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="How the network is computed.")] = "auto",
    json: options.Json = None,
) -> None:
    """Whether a threshold per foil finds more craters than one threshold, within the same review budget."""
    told = {"foils": foils, "images": images, "craters": craters, "seed": seed, "engine": engine}
    record = Record("per-foil", told)
    with tempfile.TemporaryDirectory(prefix="crater-ray-per-foil-") as folder:
        truth: set[str] = set()
        for number in range(foils):
            made = make_archive(Path(folder) / f"archive/foil{number}", seed + number, images, craters)
            truth |= {f"foil{number}/{crater.key}" for crater in made}
        scan(ScanSettings(f"{folder}/archive", f"{folder}/run", engine=engine), Console(stderr=True))
        with open_existing(Path(folder) / "run") as run:
            rows = compare(run, truth)
    record.figures = {"craters": len(truth), "budgets": rows, "meaning": MEANING}
    record.write(json)
    shown = [(f"{row['images']:,}", str(row["one"]), str(row["own"])) for row in rows]
    record.show(f"craters found of {len(truth)}", ("images to review", "one threshold", "one per foil"), shown, MEANING)


def compare(run: Run, truth: set[str]) -> list[dict[str, Any]]:
    """Craters found within each budget, by one threshold and by one for each foil; JSON values."""
    rows = Results(run).candidates(0.0, ["key", "score"])
    keys = np.array(rows["key"].to_pylist(), object)
    crater = np.array([key in truth for key in keys], bool)
    foil = np.array([key.split("/")[0] for key in keys], object)
    known = forecasts(scores_by_foil(run, {}))
    found = []
    for part in BUDGETS:
        budget = round(part * len(keys))
        shares = allot(known, budget)
        own = sum(int(crater[foil == share.foil][: share.taken].sum()) for share in shares)
        taken = {share.foil: share.taken for share in shares}
        found.append({"images": budget, "one": int(crater[:budget].sum()), "own": own, "of_foils": taken})
    return found
