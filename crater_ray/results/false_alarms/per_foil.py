"""A threshold for each foil: the score that the same share of every foil's blanks reaches, within a review budget.

This is constant false alarm rate detection (Finn and Johnson 1968, RCA Review 29, 414), each foil its own background.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from crater_ray.results.candidates import foil_file, write_csv
from crater_ray.results.false_alarms.forecast import Forecast, columns_of, expected
from crater_ray.results.false_alarms.tail import logit
from crater_ray.results.image_table import foils_of
from crater_ray.storage.errors import explain

EXPECTED = ("blanks", "blanks_lower", "blanks_upper", "craters", "craters_lower", "craters_upper", "method")
COLUMNS = ("foil", "file", "images", "threshold", "candidates", *EXPECTED)


@dataclass(frozen=True)
class Allotment:
    """What of one foil is to be reviewed.

    Attributes:
        foil: its name.
        images: that it has.
        taken: how many of its best are to be reviewed.
        threshold: the score of the last of them; infinite where none is.
    """

    foil: str
    images: int
    taken: int
    threshold: float


def false_alarm_rates(one: Forecast) -> np.ndarray:
    """(n,) the share of a foil's blanks that is to be expected from each image's score on; images by rising score."""
    scores = one.scores.scores.astype(np.float64)
    blanks = one.counted_from(scores).astype(float)
    if one.tail is not None:
        logits = logit(one.scores.scores)
        inside = logits >= one.tail.start
        blanks[inside] = np.median(one.tail.blanks_from(logits[inside]), axis=0)
        # Where the tail begins, craters are left out of it: so they are below.
        blanks[~inside] -= float(np.median(one.tail.craters))
    rates: np.ndarray = np.maximum(blanks, 0) / max(len(one.scores), 1)
    return rates


def allot(some: Sequence[Forecast], budget: int) -> list[Allotment]:
    """Divide a review budget among foils.

    Args:
        some: the foils.
        budget: images to review in all.

    Returns:
        One answer per foil; they take `budget` images together, or all that there are.
    """
    rates = [false_alarm_rates(one) for one in some]
    foil = np.concatenate([np.full(len(one), number) for number, one in enumerate(rates)] or [np.zeros(0, int)])
    every = np.concatenate([*rates, np.zeros(0)])
    scores = np.concatenate([*(one.scores.scores for one in some), np.zeros(0, np.float32)])
    best = np.lexsort((-scores, every))[: max(budget, 0)]
    taken = np.bincount(foil[best], minlength=len(rates))
    return [
        Allotment(
            one.scores.foil,
            len(one.scores),
            int(count),
            float(one.scores.scores[len(one.scores) - count]) if count else float("inf"),
        )
        for one, count in zip(some, taken, strict=True)
    ]


def within(found: pa.Table, shares: Sequence[Allotment], image_table: pa.Table | None) -> pa.Table:
    """The candidates that are to be reviewed.

    Args:
        found: as `crater_ray.results.candidates.list_candidates` gives it, from the lowest threshold on.
        shares: of each foil.
        image_table: for the foils.
    """
    left = Counter({share.foil: share.taken for share in shares})
    keep = []
    for foil in _foils(found, shares, image_table):
        keep.append(left[foil] > 0)
        left[foil] -= 1
    return found.filter(pa.array(keep, pa.bool_()))


def write_shares(
    found: pa.Table, some: Sequence[Forecast], shares: Sequence[Allotment], image_table: pa.Table | None, folder: Path
) -> int:
    """Write a CSV of candidates for each foil, and `foils.csv` with its threshold and what is to be expected.

    Args:
        found: the candidates that are to be reviewed.
        some, shares: of each foil, in the same order.
        image_table: for the foils.
        folder: made when missing. Files are called as `crater_ray.results.candidates.foil_file` says.

    Returns:
        How many foils there are, unknown ones not counted.
    """
    names = np.array(_foils(found, shares, image_table), object)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "foils.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for number, (one, share) in enumerate(zip(some, shares, strict=True)):
                name = foil_file(share.foil, number)
                row = {"foil": share.foil, "file": name, "images": share.images, "candidates": share.taken}
                if share.taken:
                    [there] = expected([one], [np.array([share.threshold])])
                    row |= columns_of(there) | {"threshold": f"{share.threshold:.9g}", "method": one.method}
                    write_csv(found.filter(pa.array(names == share.foil)), folder / name)
                writer.writerow(row)
    except OSError as problem:
        raise explain(problem, str(folder)) from None
    return sum(bool(share.foil) for share in shares)


def _foils(found: pa.Table, shares: Sequence[Allotment], image_table: pa.Table | None) -> list[str]:
    """The foil of each candidate, as the shares have it: an empty name where they have none."""
    known = {share.foil for share in shares}
    return [foil if foil in known else "" for foil in foils_of(found, image_table).to_pylist()]
