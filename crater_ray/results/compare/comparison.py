"""Comparing two runs over the same images: gained, lost and moved candidates, and how far the scores agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.network.stardust import RECEPTIVE_FIELD
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run

MOVED_PX = RECEPTIVE_FIELD / 2
"""A candidate of both runs has moved when its places lie farther apart than this: half of what the network sees at
once, so that the two networks look at different things."""

CHANGES = ("gained", "lost", "moved")
SCHEMA = pa.schema(
    [
        pa.field("change", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        *(pa.field(name, pa.float32()) for name in ("score_a", "score_b", "x_a", "y_a", "x_b", "y_b", "distance_px")),
        pa.field("uri", pa.string()),
        *(pa.field(name, pa.float32()) for name in ("diameter_a", "diameter_b")),
    ]
)


@dataclass(frozen=True)
class Figures:
    """How far two runs, A and B, agree. Candidates are counted among the images that both have.

    Attributes:
        only_a, only_b, shared: images of one run alone, and of both.
        scored: of the shared ones, with a score in both; the figures on scores are over these.
        identical: of these, with the very same score.
        candidates_a, candidates_b: at or above each run's threshold.
        gained, lost, moved: candidates of B alone, of A alone, and of both at another place.
        mean_difference, largest_difference: of the scores, without sign.
        pearson, spearman: correlation of the scores and of their ranks; None where one run has one score only.
        same_verdict: share of images that are candidates of both or of neither.
        kappa: Cohen's, agreement on candidate or not beyond chance; None where chance alone agrees fully.
    """

    only_a: int
    only_b: int
    shared: int
    scored: int
    identical: int
    candidates_a: int
    candidates_b: int
    gained: int
    lost: int
    moved: int
    mean_difference: float
    largest_difference: float
    pearson: float | None
    spearman: float | None
    same_verdict: float
    kappa: float | None


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        figures: see there.
        changes: schema `SCHEMA`; gained by falling score of B, lost by falling score of A, moved by falling distance.
        scores: (n, 2) float32, scores in A and B of images scored in both.
        thresholds: of A and B.
    """

    figures: Figures
    changes: pa.Table
    scores: np.ndarray
    thresholds: tuple[float, float]

    def of(self, change: str) -> pa.Table:
        """The changes of one kind."""
        return self.changes.filter(pc.equal(self.changes["change"], change))


def compare(a: Run, b: Run, threshold: float | None = None, distance: float = MOVED_PX) -> Comparison:
    """Compare two runs, image by image, by key.

    Args:
        a, b: the runs; images that only one of them has are counted and otherwise left out.
        threshold: the lowest score of a candidate, for both; each run's own when None.
        distance: in px; candidates whose places lie farther apart have moved.

    Raises:
        UsageError: the runs have no image in common.
    """
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise UsageError(f"--threshold must lie between 0 and 1; received: {threshold}")
    cuts = (a.threshold, b.threshold) if threshold is None else (threshold, threshold)
    names = ["key", "score", "x", "y", "diameter"]
    old, new = (Results(run).table(names).combine_chunks() for run in (a, b))
    images = (old.num_rows, new.num_rows)
    place = pc.index_in(old["key"], value_set=new["key"].combine_chunks())
    shared = place.is_valid()
    old, new = old.filter(shared), new.take(place.drop_null())
    if old.num_rows == 0:
        raise UsageError(f"The runs at {a.folder.uri} and {b.folder.uri} have no image in common: nothing to compare.")
    score_a, score_b = _numbers(old, "score"), _numbers(new, "score")
    in_a, in_b = (score >= np.float32(cut) for score, cut in zip((score_a, score_b), cuts, strict=True))
    apart = np.hypot(_numbers(old, "x") - _numbers(new, "x"), _numbers(old, "y") - _numbers(new, "y"))
    masks = {"gained": in_b & ~in_a, "lost": in_a & ~in_b, "moved": in_a & in_b & (apart > distance)}
    order = {"gained": -score_b, "lost": -score_a, "moved": -apart}
    found = []
    for change in CHANGES:
        rows = np.flatnonzero(masks[change])
        rows = pa.array(rows[np.argsort(order[change][rows], kind="stable")])
        before, after = old.take(rows), new.take(rows)
        columns = {"change": pa.array([change] * len(rows), pa.string()), "key": before["key"]}
        columns |= {f"{name}_a": before[name] for name in names[1:]} | {f"{name}_b": after[name] for name in names[1:]}
        columns["distance_px"] = pa.array(apart[rows.to_numpy()], pa.float32(), from_pandas=True)
        found.append(pa.table(columns))
    changes = _with_uris(pa.concat_tables(found), b)
    both = ~np.isnan(score_a) & ~np.isnan(score_b)
    scores = np.stack([score_a[both], score_b[both]], axis=1)
    figures = _figures(images, scores, in_a, in_b, {change: int(mask.sum()) for change, mask in masks.items()})
    return Comparison(figures, changes, scores, cuts)


def shown_score(value: float | None) -> str:
    """A score for readers."""
    return "none" if value is None else f"{value:.4f}"


def _numbers(rows: pa.Table, name: str) -> np.ndarray:
    """A column as float32; nulls become not a number, which is never at or above a threshold."""
    return np.asarray(rows[name].to_numpy(), np.float32)


def _with_uris(changes: pa.Table, run: Run) -> pa.Table:
    wanted = changes["key"].combine_chunks()
    parts = [rows.filter(pc.is_in(rows["key"], value_set=wanted)) for rows in Results(run).parts(["key", "uri"])]
    known = pa.concat_tables(parts)
    uris = known["uri"].take(pc.index_in(wanted, value_set=known["key"].combine_chunks()))
    return changes.append_column("uri", uris).select(SCHEMA.names).cast(SCHEMA)


def _figures(
    images: tuple[int, int], scores: np.ndarray, in_a: np.ndarray, in_b: np.ndarray, changed: dict[str, int]
) -> Figures:
    shared = len(in_a)
    difference = np.abs(scores[:, 0].astype(np.float64) - scores[:, 1])
    pearson, spearman = _correlations(scores)
    same = float((in_a == in_b).mean())
    chance = float(in_a.mean() * in_b.mean() + (1 - in_a.mean()) * (1 - in_b.mean()))
    return Figures(
        only_a=images[0] - shared,
        only_b=images[1] - shared,
        shared=shared,
        scored=len(scores),
        identical=int((difference == 0).sum()),
        candidates_a=int(in_a.sum()),
        candidates_b=int(in_b.sum()),
        gained=changed["gained"],
        lost=changed["lost"],
        moved=changed["moved"],
        mean_difference=float(difference.mean()) if len(scores) else 0.0,
        largest_difference=float(difference.max()) if len(scores) else 0.0,
        pearson=pearson,
        spearman=spearman,
        same_verdict=same,
        kappa=None if chance == 1 else (same - chance) / (1 - chance),
    )


def _correlations(scores: np.ndarray) -> tuple[float | None, float | None]:
    from scipy.stats import rankdata

    if len(scores) < 2 or any(np.ptp(scores[:, side]) == 0 for side in (0, 1)):
        return None, None
    ranks = np.stack([rankdata(scores[:, side]) for side in (0, 1)], axis=1)
    pearson, spearman = (float(np.corrcoef(values, rowvar=False)[0, 1]) for values in (scores, ranks))
    return pearson, spearman
