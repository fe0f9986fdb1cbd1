"""The report: everything that was measured of a run's completeness, as Python, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.completeness.budgets import Budget, budgets
from crater_ray.completeness.clearness import read_clearness
from crater_ray.completeness.density import Density, Judged, Scanned, densities, judged, scanned
from crater_ray.completeness.matched import BEFORE, matched_shares
from crater_ray.completeness.own import Own, own_craters
from crater_ray.completeness.planted import PlantedCraters, open_planted, read_planted_craters
from crater_ray.completeness.population import Population, clearness_of, population_of
from crater_ray.completeness.shares import Place, Share, all_shares, places
from crater_ray.planting.visibility import SEEN
from crater_ray.results.review.verdicts import consensus, read_verdicts
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access

FORMAT = 1
CSV_COLUMNS = ("by", "low", "high", "name", "planted", "found", "share", "lower", "upper", "effective")
OWN_COLUMNS = ("missed_fewest", "missed", "missed_most")


@dataclass(frozen=True)
class Completeness:
    """What a run could have found.

    Attributes:
        run_id: of the run.
        threshold: the run's; shares are of craters that are candidates from it on.
        planted: how many craters were planted into images that could be read.
        visible: how many of them a matched filter sees at a signal over noise of `SEEN` or more.
        unreadable: images that could not be read any more.
        images: of the run, readable.
        shares: by what divides them; see `crater_ray.completeness.shares.all_shares`. Where a population is known, also
            those of `crater_ray.completeness.matched.matched_shares`.
        budgets: the same along review budgets.
        places: how well found craters are placed and measured.
        unit: of densities: `mm2`, or `1000 images` where the pixel size is not known.
        judged: what people said of the candidates.
        densities: craters per unit, by foil and size.
        craters: the planted ones, one by one.
        population: how clearly the foil's own craters stand out; None where none is confirmed to tell.
        own: what the run has found and missed of the foil's own craters, of all sizes, by diameter in px, and of each
            foil where there are several; empty until every candidate is judged.
    """

    run_id: str
    threshold: float
    planted: int
    visible: int
    unreadable: int
    images: int
    shares: dict[str, list[Share]]
    budgets: list[Budget]
    places: list[Place]
    unit: str
    judged: Judged
    densities: list[Density]
    craters: PlantedCraters
    population: Population | None = None
    own: Sequence[Own] = ()

    def share(self, name: str = "visible", matched: bool = False) -> Share:
        """The share of the planted craters that are `visible`, `not visible` or `all`.

        Args:
            name: which.
            matched: of a foil's own craters instead, `visible` or `all`; only where `population` is known.
        """
        return next(share for share in self.shares[f"{BEFORE if matched else ''}all"] if share.name == name)

    def sizes(self) -> list[Share]:
        """Shares of visible craters by diameter in px: of a foil's own where they are known, else of the planted."""
        return self.shares.get(f"{BEFORE}diameter_px", self.shares["diameter_px"])

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "threshold": self.threshold,
            "images": self.images,
            "planted": self.planted,
            "visible": self.visible,
            "visible_from": SEEN,
            "unreadable": self.unreadable,
            "shares": {name: [share.record() for share in some] for name, some in self.shares.items()},
            "budgets": [budget.record() for budget in self.budgets],
            "places": [place.record() for place in self.places],
            "judged": {
                "from_score": self.judged.cut,
                "candidates": self.judged.candidates,
                "judged": self.judged.judged,
            },
            "matched": self.population and self.population.record(),
            "own": [one.record() for one in self.own],
            "density_unit": self.unit,
            "densities": [density.record() for density in self.densities],
        }

    def as_json(self) -> str:
        """The content of completeness.json."""
        return json.dumps(self.record(), indent=1, ensure_ascii=True, allow_nan=False) + "\n"

    def as_csv(self) -> str:
        """The content of completeness.csv: a line for each class."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, (*CSV_COLUMNS, *OWN_COLUMNS), lineterminator="\n")
        writer.writeheader()
        for name, some in self.shares.items():
            for share in some:
                writer.writerow(share.record() | {"by": name})
        for budget in self.budgets:
            for share in budget.sizes:
                writer.writerow(share.record() | {"by": "budget", "low": budget.images, "high": budget.score})
        for own in self.own:
            by = "own_foil" if own.foil else "own"
            row = own.record() | {"by": by, "found": own.confirmed, "name": own.foil or own.name}
            writer.writerow({name: row.get(name) for name in (*CSV_COLUMNS, *OWN_COLUMNS)})
        return text.getvalue()


def completeness_of(
    run: Run,
    *,
    image_table: pa.Table | None = None,
    pixel_nm: float | None = None,
    access: Access | None = None,
    match: bool = True,
) -> Completeness:
    """The completeness of a run, as `crater-ray completeness` measured it.

    Args:
        run: in whose folder the planted run lies.
        image_table: for foils; the one that the craters were planted with.
        pixel_nm: width of a pixel in nm, whatever the images say.
        access: how to reach the planted run.
        match: let confirmed craters tell how clear the foil's own are; else they are taken to be as the planted ones.

    Raises:
        UsageError: it was not measured yet.
        CraterRayError: the measurement is not complete, or damaged.
    """
    with open_planted(run, access) as planted:
        craters, clear = read_planted_craters(planted, pixel_nm), read_clearness(planted)
    there: Scanned = scanned(run, image_table, pixel_nm)
    said = judged(run, consensus(read_verdicts(run)), image_table, pixel_nm, there.in_nm)
    seen = clearness_of(clear, craters, said.confirmed if match and said.usable else ())
    population = population_of(craters, seen, said.cut)
    shares = all_shares(craters, run.threshold)
    if population is not None:
        shares |= matched_shares(shares, craters, population, run.threshold)
    measured = Completeness(
        run.id,
        run.threshold,
        len(craters),
        int(craters.column("visible").sum()),
        craters.unreadable,
        there.images.total(),
        shares,
        budgets(run, craters),
        places(craters),
        "mm2" if there.in_nm else "1000 images",
        said,
        densities(craters, there, said, population),
        craters,
        population,
    )
    if said.usable and said.judged == said.candidates:
        whole = measured.share(matched=population is not None)
        weight = craters.column("weight") if population is None else population.likeness
        own = own_craters(craters, [whole, *measured.sizes()], said.pixels, said.certain, said.cut, weight)
        measured = replace(measured, own=[*own, *_own_by_foil(measured, weight)])
    return measured


def _own_by_foil(measured: Completeness, weight: np.ndarray) -> list[Own]:
    """The same of each foil, where there are several."""
    craters, said, found = measured.craters, measured.judged, []
    foils = measured.shares.get("foil", [])
    for planted in foils if len(foils) > 1 else []:
        share, mine = planted, said.foils == planted.name
        if measured.population is not None:
            of_foil = craters.column("foil") == planted.name
            share = measured.population.share(planted, of_foil, True, measured.threshold)
        [own] = own_craters(craters, [share], said.pixels[mine], said.certain[mine], said.cut, weight)
        found.append(replace(own, foil=planted.name or "-"))
    return found
