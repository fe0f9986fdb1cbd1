"""Whether completeness says the truth: on archives with known craters, drawn by formulas that it does not plant by."""

from __future__ import annotations

import csv
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from benchmarks import options
from benchmarks.record import Record
from crater_ray.completeness.measure import measure as measure_completeness
from crater_ray.completeness.own import Own
from crater_ray.completeness.report import Completeness, completeness_of
from crater_ray.completeness.settings import Measurement
from crater_ray.completeness.shares import DIAMETERS
from crater_ray.planting.visibility import SEEN, matched_filter_ratio
from crater_ray.results.open_run import Results
from crater_ray.results.review.verdicts import import_file
from crater_ray.runs.run import Run, open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.simulate import Ranges, simulate_frame
from crater_ray.simulate.foil import one_foil
from training.data_sets.foreign import STRENGTH, Look, draw_look, put_crater

SHAPE = (384, 512)
PIXEL_NM = 50.0
NOISE = (1.5, 9.0)
"""Grey levels; each foil has a part of this range."""
NEAR = 8.0
"""Of a candidate's place, with half the diameter: then a reviewer who knows the truth confirms it."""

MEANING = (
    "Archives of simulated foil, each with its own texture, noise and focus; craters by the formulas of the foreign "
    "test set. Each is scanned, judged by who knows the truth, and its completeness measured. A cell is a foil and a "
    "class of size with at least `--least` visible craters. Three 95% intervals are compared with its true recall: of "
    "this run, as its confirmed craters say how many more there are; of so many craters, as predicted for the true "
    "number of them; of very many, where a few are found by chance more or fewer. A density is right when its 95% "
    "interval, or upper limit, covers the true one, of all sizes. All is judged twice: for craters as clear as the "
    "confirmed ones, where any are confirmed, as a user is told it; and for craters as they were planted."
)


@dataclass(frozen=True)
class Crater:
    """One crater of an archive: its image's key, place and diameter in px, and the matched filter's ratio."""

    key: str
    x: float
    y: float
    diameter: float
    ratio: float


def completeness(
    foils: Annotated[int, typer.Option("--foils", metavar="N", min=1, help="Archives with craters.")] = 3,
    blank: Annotated[int, typer.Option("--blank", metavar="N", min=0, help="Archives without.")] = 0,
    images: Annotated[int, typer.Option("--images", metavar="N", min=10, help="Of each archive.")] = 2_000,
    craters: Annotated[int, typer.Option("--craters", metavar="N", min=1, help="Of each archive with craters.")] = 60,
    planted: Annotated[int, typer.Option("--planted", metavar="N", min=1, help="Planted into each.")] = 1_000,
    least: Annotated[int, typer.Option("--least", metavar="N", min=1, help="Visible craters of a cell.")] = 3,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides all that is drawn.")] = 0,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="How the network is computed.")] = "auto",
    json: options.Json = None,
) -> None:
    """Whether completeness and densities cover the truth, on archives with known craters."""
    told = {"foils": foils, "blank": blank, "images": images, "craters": craters, "planted": planted, "seed": seed}
    record = Record("completeness", told | {"least": least, "engine": engine})
    archives = []
    for number in range(foils + blank):
        with tempfile.TemporaryDirectory(prefix="crater-ray-completeness-") as folder:
            count = craters if number < foils else 0
            archives.append(try_archive(Path(folder), seed + number, images, count, planted, least, engine))
    record.figures = (
        counted(archives, foils)
        | {"as_planted": counted([archive["as_planted"] for archive in archives], foils)}
        | {"archives": archives, "meaning": MEANING}
    )
    record.write(json)
    f, planted_so = record.figures, record.figures["as_planted"]
    rows = [
        (what, *(f"{one[f'{name}_{right}']} of {one[name]}" for one in (f, planted_so)))
        for what, name, right in (
            ("cells, of this run", "cells", "own"),
            ("cells, of so many craters", "cells", "likely"),
            ("cells, of very many", "cells", "covered"),
            ("densities", "estimates", "covered"),
            ("densities without craters", "limits", "covered"),
        )
    ]
    heads = ("covered", "as the confirmed", "as planted")
    record.show("completeness beside the truth", heads, rows, MEANING)


def counted(archives: list[dict[str, Any]], foils: int) -> dict[str, int]:
    """How many cells and densities are right; of the archives the first `foils` have craters."""
    cells = [cell for archive in archives for cell in archive["cells"]]
    return {
        "cells": len(cells),
        "cells_covered": sum(cell["covered"] for cell in cells),
        "cells_own": sum(cell["own"] for cell in cells),
        "cells_likely": sum(cell["likely"] for cell in cells),
        "estimates": foils,
        "estimates_covered": sum(archive["covered"] for archive in archives[:foils]),
        "limits": len(archives) - foils,
        "limits_covered": sum(archive["covered"] for archive in archives[foils:]),
    }


def try_archive(
    folder: Path, seed: int, images: int, craters: int, planted: int, least: int, engine: str
) -> dict[str, Any]:
    """Make an archive, scan it, measure its completeness, and compare; JSON values."""
    truth = make_archive(folder / "archive", seed, images, craters)
    console = Console(stderr=True)
    scan(ScanSettings(str(folder / "archive"), str(folder / "run"), engine=engine), console)
    with open_existing(folder / "run") as run:
        found = judge(run, truth, folder / "verdicts.csv")
        measure_completeness(run, Measurement(str(folder / "run"), planted, seed), console)
        told, as_planted = (
            compare(completeness_of(run, pixel_nm=PIXEL_NM, match=match), truth, found, least)
            for match in (True, False)
        )
        return told | {"as_planted": as_planted}


def make_archive(folder: Path, seed: int, images: int, craters: int) -> list[Crater]:
    """Write an archive of one foil; `craters` of its images have one crater each."""
    folder.mkdir(parents=True)
    marked = np.zeros(images, bool)
    marked[np.random.default_rng([seed, 0]).permutation(images)[:craters]] = True
    work = partial(_make_image, folder, seed)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        made = pool.map(work, range(images), marked.tolist(), chunksize=8)
        return [crater for crater in made if crater is not None]


def _make_image(folder: Path, seed: int, number: int, with_crater: bool) -> Crater | None:
    rng = np.random.default_rng([seed, 1, number])
    of_foil = np.random.default_rng([seed, 2])
    quiet = replace(
        one_foil(Ranges(), 1_000 + seed), noise=(0.3, 0.3), noise_length=(0.0, 0.0), line_flicker=(0.0, 0.0)
    )
    canvas = simulate_frame(rng, SHAPE, ranges=quiet).pixels.astype(np.float32)
    level, blur, quality = of_foil.uniform(*np.log(NOISE)), of_foil.uniform(0.4, 1.5), int(of_foil.integers(72, 92))
    noise = rng.normal(0, np.exp(level + rng.uniform(-0.15, 0.15)), SHAPE)
    image, key, crater = canvas.copy(), f"image{number:06d}", None
    if with_crater:
        diameter = float(np.exp(rng.uniform(*np.log((DIAMETERS[0], DIAMETERS[-1])))))
        x, y = (float(rng.uniform(diameter / 2 + 2, side - 3 - diameter / 2)) for side in SHAPE[::-1])
        look = Look(blur, draw_look(rng).side)
        put_crater(rng, image, (x, y, diameter), float(np.exp(rng.uniform(*np.log(STRENGTH)))), look)
        ratio = matched_filter_ratio(image - canvas, canvas + noise, x, y, diameter)
        crater = Crater(key, x, y, diameter, ratio)
    pixels = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{key}.jpg", quality=quality)
    return crater


def judge(run: Run, truth: list[Crater], path: Path) -> set[str]:
    """Give verdicts on all candidates as one who knows the truth; gives the keys of the craters that are found."""
    known = {crater.key: crater for crater in truth}
    found = set()
    rows = Results(run).candidates(columns=["key", "x", "y"]).to_pylist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("key", "verdict"))
        for row in rows:
            crater = known.get(row["key"])
            if crater and row["x"] is not None:
                far = np.hypot(row["x"] - crater.x, row["y"] - crater.y)
                found |= {row["key"]} if far <= NEAR + crater.diameter / 2 else set()
            writer.writerow((row["key"], "crater" if row["key"] in found else "not"))
    if rows:
        import_file(run, path, "one who knows")
    return found


def _covers(own: Own | None, recall: float) -> bool:
    """Where none was confirmed there is no share: right where none was found."""
    if own is None or own.lower is None or own.upper is None:
        return own is not None and recall == 0
    return own.lower <= recall <= own.upper


def compare(measured: Completeness, truth: list[Crater], found: set[str], least: int) -> dict[str, Any]:
    """What was measured beside the truth: cells of size, and the density of all sizes; JSON values."""
    cells, own_of = [], {own.name: own for own in measured.own}
    for share in measured.sizes():
        low, high = share.low or 0.0, share.high or np.inf
        true = [one for one in truth if low <= one.diameter < high and one.ratio >= SEEN]
        if len(true) >= least:
            hits = sum(one.key in found for one in true)
            recall = hits / len(true)
            fewest, most = share.found_of(len(true))
            own = own_of.get(share.name)
            cells.append(
                {"size": share.name, "craters": len(true), "recall": recall, "measured": share.share}
                | {"lower": share.lower, "upper": share.upper, "covered": bool(share.lower <= recall <= share.upper)}
                | {"own": _covers(own, recall), "judged": own and own.record()}
                | {"found": hits, "fewest": fewest, "most": most, "likely": bool(fewest <= hits <= most)}
            )
    matched = measured.population and measured.population.record()
    if not measured.densities:
        return {"cells": cells, "matched": matched, "covered": False, "why": "no density"}
    whole = measured.densities[0]
    true_density = len(truth) / whole.exposure
    upper = np.inf if whole.upper is None else whole.upper
    return {
        "cells": cells,
        "matched": matched,
        "density": true_density,
        "measured": whole.density,
        "lower": whole.lower,
        "upper": whole.upper,
        "covered": bool(whole.lower <= true_density <= upper),
    }
