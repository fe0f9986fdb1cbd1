"""What commands say and write of false alarms: a line below the list of candidates, and a table by foil and score."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crater_ray.results.false_alarms.foils import scores_by_foil
from crater_ray.results.false_alarms.forecast import COUNT, Expected, Forecast, Number, columns_of, expected, forecasts
from crater_ray.results.false_alarms.per_foil import EXPECTED, Allotment
from crater_ray.results.false_alarms.tail import Craters
from crater_ray.results.review.verdicts import consensus, read_verdicts
from crater_ray.runs.run import Run
from crater_ray.storage.errors import explain

if TYPE_CHECKING:
    from rich.console import Console

THRESHOLDS = (*(step * 10.0**power for power in (-4, -3, -2, -1) for step in (1, 2, 5)), 0.8, 0.9, 0.95, 0.99, 0.999)
COLUMNS = ("of", "foil", "threshold", "images", *EXPECTED)
MIXED = "tail and count"


@dataclass(frozen=True)
class FalseAlarms:
    """What is to be expected of a run.

    Attributes:
        foils: of each foil.
    """

    foils: list[Forecast]

    @property
    def method(self) -> str:
        """`tail`, `count`, or both."""
        methods = {one.method for one in self.foils}
        return methods.pop() if len(methods) == 1 else MIXED if methods else COUNT

    def at(self, thresholds: Iterable[float]) -> list[Expected]:
        """What is to be expected of the whole run from each of these scores on."""
        cuts = np.array(list(thresholds), float)
        return expected(self.foils, [cuts] * len(self.foils))

    def of(self, shares: Sequence[Allotment]) -> list[Expected]:
        """The same from a threshold of its own on for each foil: one answer, or none."""
        cuts = [np.array([min(share.threshold, 2.0)]) for share in shares]
        return expected(self.foils, cuts)

    def as_csv(self, more: Iterable[float] = ()) -> str:
        """A line for the run and for each foil at each of `THRESHOLDS`, and at others."""
        cuts = np.unique([*THRESHOLDS, *more])
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        groups: list[tuple[str, str, str, list[Forecast]]] = [("run", "", self.method, self.foils)]
        groups += [("foil", one.scores.foil, one.method, [one]) for one in self.foils]
        for of, foil, method, some in groups:
            for one in expected(some, [cuts] * len(some)):
                row = {"of": of, "foil": foil, "threshold": f"{one.threshold:.6g}", "images": one.images}
                writer.writerow(row | columns_of(one) | {"method": method})
        return text.getvalue()


def false_alarms(
    run: Run, image_table: pa.Table | None = None, craters: Mapping[str, Craters] | None = None
) -> FalseAlarms:
    """What is to be expected among a run's candidates.

    Args:
        run: complete or not.
        image_table: for the foils; see `crater_ray.results.image_table.foils_of`.
        craters: how craters score, by foil; see `crater_ray.completeness.scores.crater_scores`.
    """
    verdicts = consensus(read_verdicts(run))
    return FalseAlarms(forecasts(scores_by_foil(run, verdicts, image_table), craters))


def write_table(alarms: FalseAlarms, path: Path, more: Iterable[float] = ()) -> None:
    """Write the table as CSV, with these scores too."""
    try:
        path.write_text(alarms.as_csv(more), encoding="utf-8", newline="")
    except OSError as problem:
        raise explain(problem, str(path)) from None


def in_words(one: Expected, method: str) -> str:
    """What is to be expected, as a sentence."""
    if method == COUNT:
        blanks = f"{_words(one.blanks)} blanks (all that nobody marked as a crater)"
    else:
        blanks = f"{_words(one.blanks)} blanks"
    craters = "how many craters is not known" if one.craters is None else f"{_words(one.craters)} craters"
    return f"Expected among them: {blanks}; {craters}."


def show_expected(some: Sequence[Expected], alarms: FalseAlarms, console: Console) -> None:
    """Say what is to be expected, if there is anything, and how more could be known."""
    if not some:
        return
    [one] = some
    console.print(in_words(one, alarms.method), highlight=False, markup=False, soft_wrap=True)
    if one.craters is None:
        if any(forecast.known is None for forecast in alarms.foils):
            how = "`crater-ray completeness RUN` measures how craters score; then it can be told."
        else:
            how = "With so few images it can be told once people have judged the best (`crater-ray review`)."
        console.print(how, highlight=False, markup=False, soft_wrap=True)


def curves(alarms: FalseAlarms, thresholds: Sequence[float], foils: Container[str]) -> dict[str, Any]:
    """What a gallery's slider says of the run and of each of these foils: numbers at each threshold; JSON values."""
    cuts = np.asarray(thresholds, float)
    shown = {one.scores.foil: [one] for one in alarms.foils if one.scores.foil in foils}
    return {
        "run": _curve(expected(alarms.foils, [cuts] * len(alarms.foils)), alarms.method),
        "foils": {foil: _curve(expected(some, [cuts] * len(some)), some[0].method) for foil, some in shown.items()},
    }


def _curve(some: list[Expected], method: str) -> dict[str, Any]:
    craters = [_three(one.craters) for one in some if one.craters is not None]
    return {
        "counted": method == COUNT,
        "images": [one.images for one in some],
        "blanks": [_three(one.blanks) for one in some],
        "craters": craters if len(craters) == len(some) else None,
    }


def _three(number: Number) -> list[float]:
    return [float(f"{value:.4g}") for value in (number.value, number.lower, number.upper)]


def _words(number: Number) -> str:
    return f"{_short(number.value)} ({_short(number.lower)} to {_short(number.upper)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.095 else f"{value:.2f}"
