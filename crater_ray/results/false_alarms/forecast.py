"""What is to be expected of a foil from a score on: images, blanks and craters, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crater_ray.results.false_alarms.foils import WORDS, FoilScores
from crater_ray.results.false_alarms.tail import DRAWS, MOST, Craters, Tail, fit_tail, logit
from crater_ray.results.intervals import garwood

LEAST_IMAGES = 3_000
"""Of a foil, for a tail; with fewer, images are counted."""
LEAST_MIXED = 1_000
"""Of a foil, for the number of craters by their scores, where it is known how craters score."""
TAIL, COUNT = "tail", "count"


@dataclass(frozen=True)
class Number:
    """A number that is to be expected, with its 95% interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Expected:
    """What is to be expected from a score on.

    Attributes:
        threshold: the score.
        images: that reach it.
        blanks: among them.
        craters: among them; None where it is not known.
    """

    threshold: float
    images: int
    blanks: Number
    craters: Number | None


@dataclass(frozen=True)
class Forecast:
    """What is known of one foil.

    Attributes:
        scores: of its images.
        tail: of these; None where they are too few, or make none.
        mixed: a tail that tells craters from blanks; None where it is not known how craters score.
        known: how craters score, where that was measured.
        seed: of the draws.
    """

    scores: FoilScores
    tail: Tail | None
    mixed: Tail | None
    known: Craters | None
    seed: int

    @property
    def method(self) -> str:
        """`TAIL` or `COUNT`."""
        return COUNT if self.tail is None else TAIL

    def images_from(self, thresholds: np.ndarray) -> np.ndarray:
        """(t,) images that reach each of (t,) scores."""
        cuts = thresholds.astype(np.float32)
        return len(self.scores) - np.searchsorted(self.scores.scores, cuts, side="left")

    def counted_from(self, thresholds: np.ndarray) -> np.ndarray:
        """The same of images that nobody confirmed as craters."""
        confirmed = self.scores.scores[self.scores.said == WORDS["crater"]]
        reach = len(confirmed) - np.searchsorted(confirmed, thresholds.astype(np.float32), side="left")
        counted: np.ndarray = self.images_from(thresholds) - reach
        return counted

    def blanks_drawn(self, thresholds: np.ndarray) -> np.ndarray:
        """(DRAWS, t) blanks to be expected from each of (t,) scores on."""
        drawn = _counts(self.counted_from(thresholds), self.seed)
        if self.tail is None:
            return drawn
        logits = logit(thresholds.astype(np.float32))
        inside = logits >= self.tail.start
        drawn[:, inside] = self.tail.blanks_from(logits[inside])
        craters = self.craters_drawn(thresholds[~inside])
        if craters is not None:  # below the tail, what is no crater is blank
            confirmed = (self.images_from(thresholds) - self.counted_from(thresholds))[~inside]
            drawn[:, ~inside] = np.maximum(drawn[:, ~inside] - np.maximum(craters - confirmed, 0), 0)
        return drawn

    def craters_drawn(self, thresholds: np.ndarray) -> np.ndarray | None:
        """The same of craters: by their scores in the tail, else by those confirmed; None where it is not known."""
        if self.known is None:
            return None
        rng = np.random.default_rng([self.seed, 2])
        parts = rng.exponential(size=(DRAWS, len(self.known.scores))) * self.known.weight
        parts /= parts.sum(axis=1, keepdims=True)

        def shares(cuts: np.ndarray) -> np.ndarray:
            reached: np.ndarray = parts @ (self.known_scores[:, None] >= cuts.astype(np.float32)[None, :])
            return reached

        if self.mixed is not None:
            logits = logit(thresholds.astype(np.float32))
            inside = self.mixed.craters_from(np.maximum(logits, self.mixed.start + 1e-12))
            start = 1 / (1 + np.exp(-self.mixed.start))
            raised = np.maximum(shares(thresholds) / np.maximum(shares(np.array([start])), 1e-9), 1)
            if inside is None:
                return None
            beyond: np.ndarray = np.where(logits[None, :] >= self.mixed.start, inside, inside * raised)
            return beyond
        cut = self.scores.judged_from()
        share = shares(np.array([cut])) if np.isfinite(cut) else np.zeros((DRAWS, 1))
        if np.median(share) <= 0:
            return None
        sure = self.images_from(thresholds) - self.counted_from(thresholds)
        all_sure = self.images_from(np.array([cut])) - self.counted_from(np.array([cut]))
        drawn = _counts(all_sure, self.seed + 1) / np.maximum(share, 1e-9) * shares(thresholds)
        # From the score on from which all is judged, they are known; below, those confirmed are the least.
        known: np.ndarray = np.where(thresholds[None, :] >= cut, sure[None, :], np.maximum(drawn, sure[None, :]))
        return known

    @property
    def known_scores(self) -> np.ndarray:
        """(m,) float32 scores of known craters."""
        return np.zeros(0, np.float32) if self.known is None else self.known.scores.astype(np.float32)


def forecast(scores: FoilScores, craters: Craters | None = None, seed: int = 0) -> Forecast:
    """What is to be expected of a foil; `craters` say how craters score there, where that was measured."""
    n = len(scores)
    tail = None
    if n >= (LEAST_IMAGES if craters is None else LEAST_MIXED):
        logits = logit(scores.scores)
        size = int(min(6 * np.sqrt(n), n / 8, MOST))
        start = max(float(logits[n - size - 1]), float(logit(np.array(scores.least))))
        unknown, blanks, confirmed = (
            logits[(scores.said == said) & (logits > start)] for said in (0, WORDS["not"], WORDS["crater"])
        )
        tail = fit_tail(unknown, blanks, confirmed, start, craters, seed)
    mixed = tail if tail is not None and tail.found is not None else None
    return Forecast(scores, tail if n >= LEAST_IMAGES else None, mixed, craters, seed)


def forecasts(foils: Mapping[str, FoilScores], craters: Mapping[str, Craters] | None = None) -> list[Forecast]:
    """What is to be expected of every foil; `craters` by foil, those of all foils under an empty name."""
    known = craters or {}
    return [
        forecast(scores, known.get(foil, known.get("")), seed=10 * number)
        for number, (foil, scores) in enumerate(foils.items())
    ]


def expected(some: Sequence[Forecast], thresholds: Sequence[np.ndarray | Sequence[float]]) -> list[Expected]:
    """What is to be expected of some foils together.

    Args:
        some: the foils.
        thresholds: for each foil (t,) scores, the first of every foil together, then the second of every foil, and so
            on.

    Returns:
        (t) answers; `threshold` is that of the first foil.
    """
    cuts = [np.asarray(one, np.float64) for one in thresholds]
    if not some:
        return []
    images = np.sum([one.images_from(cut) for one, cut in zip(some, cuts, strict=True)], axis=0)
    counted = np.zeros(len(cuts[0]), int)
    blanks = np.zeros((DRAWS, len(cuts[0])))
    craters: np.ndarray | None = np.zeros_like(blanks)
    tails = 0
    for number, (one, cut) in enumerate(zip(some, cuts, strict=True)):
        shuffled = np.random.default_rng([number, 3]).permutation(DRAWS)
        more = one.craters_drawn(cut)
        craters = None if craters is None or more is None else craters + more[shuffled]
        if one.tail is None:
            counted += one.counted_from(cut)
        else:
            blanks += one.blanks_drawn(cut)[shuffled]
            tails += 1
    if tails and counted.any():
        blanks += _counts(counted, 1)
    answers = []
    for place, threshold in enumerate(cuts[0]):
        count = int(counted[place])
        number_of = _number(blanks[:, place]) if tails else Number(float(count), *garwood(count))
        found = None if craters is None else _number(craters[:, place])
        answers.append(Expected(float(threshold), int(images[place]), number_of, found))
    return answers


def columns_of(one: Expected) -> dict[str, float | None]:
    """Columns of a table: blanks and craters with the ends of their intervals."""
    found: dict[str, float | None] = {}
    for name, number in (("blanks", one.blanks), ("craters", one.craters)):
        values = (None,) * 3 if number is None else (number.value, number.lower, number.upper)
        rounded = [None if value is None else float(f"{value:.6g}") for value in values]
        found |= dict(zip((name, f"{name}_lower", f"{name}_upper"), rounded, strict=True))
    return found


def _counts(counted: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, t) means that may lie behind counts; a higher count has the higher mean in every draw."""
    from scipy.stats import gamma

    chance = (np.random.default_rng([seed, 1]).permutation(DRAWS) + 0.5) / DRAWS
    drawn: np.ndarray = gamma.ppf(chance[:, None], counted[None, :] + 0.5)
    return drawn


def _number(drawn: np.ndarray) -> Number:
    lower, middle, upper = np.quantile(drawn, (0.025, 0.5, 0.975))
    return Number(float(middle), float(lower), float(upper))
