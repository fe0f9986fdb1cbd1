"""What verdicts say about a run: precision so far, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.results.intervals import wilson
from crater_ray.results.review.verdicts import VERDICTS, Verdict
from crater_ray.runs.check import count_candidates

if TYPE_CHECKING:
    import pyarrow as pa

    from crater_ray.runs.run import Run


@dataclass(frozen=True)
class Precision:
    """Of judged candidates at or above a score, how many are craters.

    Attributes:
        threshold: the score.
        craters, judged: images; those that reviewers are unsure about are in neither.
        candidates: at or above the score in the whole run, judged or not.
    """

    threshold: float
    craters: int
    judged: int
    candidates: int

    def interval(self) -> tuple[float, float]:
        """95% Wilson score interval (Wilson 1927)."""
        return wilson(self.craters, self.judged)


@dataclass(frozen=True)
class Agreement:
    """Of two reviewers, over the images that both have judged.

    Attributes:
        first, second: who.
        images: that both have judged.
        same: with the same verdict.
        kappa: Cohen's (1960), agreement beyond chance over the three verdicts; None where chance alone agrees fully.
    """

    first: str
    second: str
    images: int
    same: int
    kappa: float | None


def precision(run: Run, judged: pa.Table, thresholds: list[float]) -> list[Precision]:
    """Precision so far at each threshold.

    Args:
        run: what was reviewed.
        judged: as `crater_ray.results.review.verdicts.judged_rows` gives it.
        thresholds: scores.
    """
    scores = judged["score"].to_numpy()
    words = np.asarray(judged["verdict"].to_pylist(), dtype=object)
    candidates = [0] * len(thresholds)
    for rows in run.parts():
        for place, threshold in enumerate(thresholds):
            candidates[place] += count_candidates(rows, threshold)
    answers = []
    for threshold, count in zip(thresholds, candidates, strict=True):
        above = scores >= np.float32(threshold)
        craters = int((above & (words == "crater")).sum())
        answers.append(Precision(threshold, craters, craters + int((above & (words == "not")).sum()), count))
    return answers


def agreement(verdicts: list[Verdict]) -> list[Agreement]:
    """How far each two reviewers agree who have judged an image in common."""
    said: dict[str, dict[str, str]] = {}
    for verdict in verdicts:
        said.setdefault(verdict.reviewer, {})[verdict.key] = verdict.verdict
    found = []
    for first, second in combinations(sorted(said), 2):
        shared = sorted(set(said[first]) & set(said[second]))
        if shared:
            pairs = [(said[first][key], said[second][key]) for key in shared]
            found.append(Agreement(first, second, len(pairs), sum(a == b for a, b in pairs), cohens_kappa(pairs)))
    return found


def cohens_kappa(pairs: list[tuple[str, str]]) -> float | None:
    """Agreement of two raters beyond chance: (observed - expected) / (1 - expected).

    Args:
        pairs: both verdicts on each image, at least one.
    """
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    first, second = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    expected = sum(first[word] * second[word] for word in VERDICTS) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)
