"""Density: craters per mm2 of foil by size, from people's verdicts, the area scanned, and the measured completeness."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.completeness.plan import MARGIN
from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.population import Population
from crater_ray.completeness.shares import DIAMETERS, DIAMETERS_NM, edges_within, share_of
from crater_ray.images.crop import Crop
from crater_ray.images.status import OK
from crater_ray.results.image_table import foils_of
from crater_ray.results.intervals import rate
from crater_ray.results.open_run import Results
from crater_ray.results.review.verdicts import Verdict
from crater_ray.runs.run import Run

MM2 = 1e-12
"""Of a square nm."""


@dataclass(frozen=True)
class Scanned:
    """What a run has looked at.

    Attributes:
        images: how many readable images there are of each foil, height, width (of what is looked at) and pixel size in
            nm (None where it is not known).
    """

    images: Counter[tuple[str, int, int, float | None]]

    @property
    def in_nm(self) -> bool:
        """Whether the pixel size of any image is known."""
        return any(nm for _, _, _, nm in self.images)

    def exposure(self, foil: str | None, diameter: float) -> float:
        """Where craters of this size would lie wholly in an image: mm2, or thousands of images without a pixel size.

        Args:
            foil: of this foil alone; of all when None.
            diameter: nm, or px without a pixel size.
        """
        total = 0.0
        for (name, height, width, nm), count in self.images.items():
            if foil is not None and name != foil:
                continue
            if not self.in_nm:
                total += count / 1_000
            elif nm:
                sides = (max(0.0, side - diameter / nm - 2 * MARGIN) for side in (height, width))
                total += count * float(np.prod(list(sides))) * nm**2 * MM2
        return total


@dataclass(frozen=True)
class Judged:
    """What people found among a run's candidates.

    Attributes:
        cut: all images from this score on were judged; the run's threshold, or higher.
        candidates, judged: of the run, at its threshold.
        counted: of these, from `cut` on.
        craters: (n, 2) size (nm or px; not a number where it is not known) and whether it is certain.
        foils: (n,) of each.
        keys: (n,) of their images.
        pixels: (n,) their diameters in px; not a number where they are not known.
    """

    cut: float
    candidates: int
    judged: int
    counted: int
    craters: np.ndarray
    foils: np.ndarray
    keys: np.ndarray
    pixels: np.ndarray

    @property
    def certain(self) -> np.ndarray:
        """(n,) bool, whether people confirmed it; of the others they are unsure."""
        certain: np.ndarray = self.craters[:, 1] == 1
        return certain

    @property
    def confirmed(self) -> list[tuple[str, str]]:
        """Keys and foils of those that are certain."""
        certain = self.certain
        return list(zip(self.keys[certain].tolist(), self.foils[certain].tolist(), strict=True))

    @property
    def usable(self) -> bool:
        """Whether densities follow. With the best candidate unjudged they do not: a score that is chosen so that
        nothing lies above it says nothing about what there is."""
        return self.candidates == 0 or self.counted > 0


@dataclass(frozen=True)
class Density:
    """Craters per unit of exposure, of one class of size.

    Attributes:
        foil: empty for all foils.
        low, high: bounds of the size; None for all sizes together.
        confirmed, possible: craters that people confirmed; and that they are unsure about, or whose size is unknown.
        exposure: mm2, or thousands of images.
        completeness, completeness_lower, completeness_upper: of craters of this size, visible or not; 95% interval.
        density: confirmed / (exposure x completeness).
        lower, upper: 95% interval; the upper end alone, one-sided, where nothing was found. None: not bounded.
        matched: whether the completeness is that of craters as clear as the confirmed ones, not as the planted ones.
    """

    foil: str
    low: float | None
    high: float | None
    confirmed: int
    possible: int
    exposure: float
    completeness: float | None
    completeness_lower: float
    completeness_upper: float
    density: float | None
    lower: float
    upper: float | None
    matched: bool = False

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def scanned(run: Run, image_table: pa.Table | None, pixel_nm: float | None) -> Scanned:
    """What a run has looked at; `pixel_nm` whatever the images say."""
    crop = Crop(run.record["settings"].get("crop") or "auto")
    images: Counter[tuple[str, int, int, float | None]] = Counter()
    for part in Results(run).parts(["key", "status", "height", "width", "bar", "pixel_nm"]):
        rows = part.filter(pc.equal(part["status"], OK))
        names = foils_of(rows, image_table).to_pylist()
        columns = (rows[name].to_pylist() for name in ("height", "width", "bar", "pixel_nm"))
        for foil, height, width, bar, nm in zip(names, *columns, strict=True):
            down, across = crop.part(height - (bar or 0), width)
            images[foil, down.stop - down.start, across.stop - across.start, pixel_nm or nm] += 1
    return Scanned(images)


def judged(
    run: Run, verdicts: dict[str, Verdict], image_table: pa.Table | None, pixel_nm: float | None, in_nm: bool
) -> Judged:
    """What people found.

    Args:
        run: whose candidates.
        verdicts: agreed ones by key, as `crater_ray.results.review.verdicts.consensus` gives them.
        image_table: for the foils.
        pixel_nm: whatever the images say.
        in_nm: sizes in nm instead of px.
    """
    rows = Results(run).candidates()
    keys, scores = rows["key"].to_pylist(), rows["score"].to_numpy()
    known = np.array([key in verdicts for key in keys], bool)
    cut = run.threshold
    if not known.all():  # just above the best one that nobody has judged
        cut = float(np.nextafter(scores[np.flatnonzero(~known)[0]], np.float32(2)))
    counted = int((scores >= np.float32(cut)).sum())
    craters, foils, whose, pixels = [], [], [], []
    names = foils_of(rows, image_table).to_pylist()
    sizes = zip(rows["diameter"].to_pylist(), rows["pixel_nm"].to_pylist(), strict=True)
    for key, score, foil, (diameter, nm) in zip(keys, scores, names, sizes, strict=True):
        word = verdicts[key].verdict if key in verdicts else "not"
        if score >= np.float32(cut) and word != "not":
            size = (diameter or np.nan) * ((pixel_nm or nm or np.nan) if in_nm else 1)
            craters.append((size, word == "crater"))
            foils.append(foil)
            whose.append(key)
            pixels.append(diameter or np.nan)
    return Judged(
        cut, len(keys), int(known.sum()), counted, np.array(craters, float).reshape(-1, 2),
        np.array(foils, object), np.array(whose, object), np.array(pixels, float),
    )  # fmt: skip


def densities(
    craters: PlantedCraters, there: Scanned, said: Judged, population: Population | None = None
) -> list[Density]:
    """Craters per mm2 (or per thousand images) by foil and size; first of all foils and all sizes.

    Completeness is that of all craters of a size, also of those that nobody could see: of planted ones, or where
    `population` is known, of a foil's own. For all sizes together it is that of craters whose logarithms of size are
    spread evenly, as the planted ones are.
    """
    size = craters.column("diameter") * (craters.pixel_nm if there.in_nm else 1)
    known = np.isfinite(size)
    if not known.any() or not said.usable:
        return []
    edges = edges_within(DIAMETERS_NM if there.in_nm else DIAMETERS, size[known])
    foil_of = craters.column("foil")
    foils = sorted({foil for foil, *_ in there.images})
    found = []
    for foil in [None, *(foils if len(foils) > 1 else [])]:
        of_foil = known & (np.ones(len(size), bool) if foil is None else foil_of == foil)
        mine = said.craters if foil is None else said.craters[said.foils == foil]
        for low, high in [(None, None), *pairwise(edges)]:
            whole = low is None or high is None
            last = high == edges[-1]
            planted = of_foil if whole else of_foil & (size >= low) & ((size < high) | last)
            inside = np.ones(len(mine), bool) if whole else (mine[:, 0] >= low) & (mine[:, 0] < high)
            share = share_of("size", "", craters, planted, said.cut)
            if population is not None and planted.any():
                share = population.share(share, planted, False, said.cut)
            confirmed = int((inside & (mine[:, 1] == 1)).sum())
            # A crater of unknown size may be of any; so it counts against every upper limit.
            possible = int((inside | ~np.isfinite(mine[:, 0])).sum()) - confirmed
            middle = float(np.sqrt(low * high)) if low and high else float(np.exp(np.log(size[known]).mean()))
            exposure = there.exposure(foil, middle)
            lower, upper = 0.0, float("inf")
            if exposure > 0 and share.planted:
                lower, upper = rate(confirmed, confirmed + possible, exposure, share.efficiency)
            usable = exposure > 0 and share.planted and share.share > 0
            found.append(
                Density(
                    foil or "", low, high, confirmed, possible, exposure,
                    share.share if share.planted else None, share.lower, share.upper,
                    confirmed / (exposure * share.share) if usable else None,
                    lower, upper if np.isfinite(upper) else None, population is not None,
                )
            )  # fmt: skip
    return found
