"""How good reviewers are, by the gold standards that they judged, and how probable a crater is by what all of them say.

Each reviewer has two skills, how often a crater is called one and how often a blank is rejected; every verdict then
changes the probability of a crater by Bayes' rule (Marshall et al. 2016, MNRAS 455, 1171).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crater_ray.results.intervals import wilson
from crater_ray.results.review.gold import GoldVerdict
from crater_ray.results.review.verdicts import VERDICTS, Verdict

SURE = 0.95
"""A candidate is decided from this probability on, and below one minus it."""
ROUNDS = 500


@dataclass(frozen=True)
class Skill:
    """What gold standards say of a reviewer; those that the reviewer is unsure about are in no other number.

    Attributes:
        reviewer: who.
        found, craters: planted craters that were called craters, of those that were judged.
        rejected, blanks: blanks that were rejected, of those that were judged.
        unsure: gold standards.
    """

    reviewer: str
    found: int
    craters: int
    rejected: int
    blanks: int
    unsure: int

    @property
    def sensitivity(self) -> float | None:
        """Share of craters found; None where none was judged."""
        return self.found / self.craters if self.craters else None

    @property
    def specificity(self) -> float | None:
        """Share of blanks rejected; None where none was judged."""
        return self.rejected / self.blanks if self.blanks else None

    def intervals(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """95% Wilson intervals of both."""
        return wilson(self.found, self.craters), wilson(self.rejected, self.blanks)

    def says(self, verdict: str) -> tuple[float, float]:
        """How probable this verdict is of a crater and of a blank; a reviewer who judged nothing tells nothing."""
        finds, rejects = (self.found + 1) / (self.craters + 2), (self.rejected + 1) / (self.blanks + 2)
        return (finds, 1 - rejects) if verdict == "crater" else (1 - finds, rejects)


def skills(gold: Sequence[GoldVerdict]) -> list[Skill]:
    """The skill of everybody who judged gold standards, by name."""
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for one in gold:
        counts.setdefault(one.reviewer, Counter())[one.truth, one.verdict] += 1
    return [
        Skill(
            reviewer,
            said["crater", "crater"],
            said["crater", "crater"] + said["crater", "not"],
            said["not", "not"],
            said["not", "not"] + said["not", "crater"],
            said["crater", "unsure"] + said["not", "unsure"],
        )
        for reviewer, said in sorted(counts.items())
    ]


@dataclass(frozen=True)
class Probabilities:
    """How probable a crater is in each judged image.

    Attributes:
        prior: share of craters among them, before any verdict.
        by_key: probability by key.
    """

    prior: float
    by_key: Mapping[str, float]

    def counts(self) -> tuple[int, int, int]:
        """How many are craters, how many are not, and how many are undecided."""
        values = np.array(list(self.by_key.values()), float)
        craters, blanks = int((values >= SURE).sum()), int((values <= 1 - SURE).sum())
        return craters, blanks, len(values) - craters - blanks


def probabilities(verdicts: Sequence[Verdict], known: Sequence[Skill], prior: float | None = None) -> Probabilities:
    """Combine verdicts.

    Args:
        verdicts: one per person and image.
        known: skills of reviewers; verdicts of others change nothing, and neither does `unsure`.
        prior: share of craters among the judged images; the most likely one when None.
    """
    by_name = {skill.reviewer: skill for skill in known}
    ratio: dict[str, float] = {}
    for one in verdicts:
        ratio.setdefault(one.key, 0.0)
        if one.verdict != "unsure" and one.reviewer in by_name:
            of_crater, of_blank = by_name[one.reviewer].says(one.verdict)
            ratio[one.key] += float(np.log(of_crater) - np.log(of_blank))
    evidence = np.exp(np.clip(np.array(list(ratio.values()), float), -300, 300))
    share = 0.5 if prior is None else prior
    for _ in range(ROUNDS if prior is None and len(evidence) else 0):  # expectation maximisation of the share alone
        share = float(np.clip(np.mean(share * evidence / (share * evidence + 1 - share)), 1e-4, 1 - 1e-4))
    chance = share * evidence / (share * evidence + 1 - share)
    return Probabilities(share, dict(zip(ratio, chance.tolist(), strict=True)))


def probability_table(judged: pa.Table, verdicts: Sequence[Verdict], combined: Probabilities) -> pa.Table:
    """The judged images with `probability` of a crater and how many people said what, most probable first.

    Args:
        judged: as `crater_ray.results.review.verdicts.judged_rows` gives it, by what `consensus` says.
        verdicts: one per person and image.
        combined: of these verdicts.
    """
    said: dict[str, Counter[str]] = {}
    for one in verdicts:
        said.setdefault(one.key, Counter())[one.verdict] += 1
    keys = judged["key"].to_pylist()
    columns = {
        "key": judged["key"],
        "probability": pa.array([combined.by_key[key] for key in keys], pa.float64()),
        **{f"said_{word}": pa.array([said[key][word] for key in keys], pa.int32()) for word in VERDICTS},
        **{name: judged[name] for name in ("verdict", "score", "x", "y", "uri")},
    }
    return pa.table(columns).sort_by([("probability", "descending"), ("key", "ascending")])
