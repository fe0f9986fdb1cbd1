"""The upper tail of a foil's scores: a generalized Pareto distribution of blanks, and craters above it where known.

Whatever the scores of blanks, those above a high one follow a generalized Pareto distribution (Pickands 1975, Annals of
Statistics 3, 119; Balkema and de Haan 1974). What is believed of its two parameters, and of the share of craters, is
computed on a grid, so that intervals need no approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 1_000
"""Equally probable answers by which what is believed is told."""
LEAST, MOST = 100, 1_500
"""Scores that make a tail: fewer tell nothing about its shape, more lie no longer in it, nor are needed."""
GROUPS = 200
"""Neighbouring scores are taken together until so many are left; the highest `SINGLE` are not."""
SINGLE = 50
SHAPES = (-0.8, 0.8)
COARSE, FINE, FINE_MIXED = 15, 29, 21
"""Points of a side of the grid: at first, then without craters, and with them."""
DEPTH = 10.0
"""Logarithms of likelihood below the best at which the finer grid ends."""
LEAST_CRATERS = 20
"""Planted craters in the tail: with fewer nothing is known of their scores."""


@dataclass(frozen=True)
class Craters:
    """Scores of craters, of those that `crater-ray completeness` planted.

    Attributes:
        scores: (m,) the score of each; minus infinity where it was not found at all.
        weight: (m,) how much each counts.
    """

    scores: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Tail:
    """What is believed of a tail, as `DRAWS` equally probable answers.

    Attributes:
        start: the score that it begins above, as a logit.
        shape, scale: (DRAWS,) of the generalized Pareto distribution of the blanks' logits.
        blanks, craters: (DRAWS,) how many of each are to be expected in the tail; no craters where nothing is known.
        found: (DRAWS, m) weight of each planted crater in the tail, 1 in all; None where nothing is known.
        logits: (m,) of these craters.
    """

    start: float
    shape: np.ndarray
    scale: np.ndarray
    blanks: np.ndarray
    craters: np.ndarray
    found: np.ndarray | None
    logits: np.ndarray

    def blanks_from(self, logits: np.ndarray) -> np.ndarray:
        """(DRAWS, t) blanks to be expected from each of (t,) logits on, none of them below the start."""
        above = np.maximum(logits - self.start, 0)[None, :] / self.scale[:, None]
        drawn: np.ndarray = self.blanks[:, None] * np.exp(_log_survival(above, self.shape[:, None]))
        return drawn

    def craters_from(self, logits: np.ndarray) -> np.ndarray | None:
        """The same of craters."""
        if self.found is None:
            return None
        drawn: np.ndarray = self.craters[:, None] * (self.found @ (self.logits[:, None] >= logits[None, :]))
        return drawn


def logit(scores: np.ndarray) -> np.ndarray:
    """Scores, 0..1, on the scale on which tails are straight; 0 and 1 lie at 1e-9 from the ends."""
    p = np.clip(np.asarray(scores, np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit_tail(
    unknown: np.ndarray,
    blanks: np.ndarray,
    confirmed: np.ndarray,
    start: float,
    craters: Craters | None = None,
    seed: int = 0,
) -> Tail | None:
    """Fit a tail.

    Args:
        unknown: (n,) logits above the start, of images that nobody has judged.
        blanks, confirmed: likewise, of images judged blank, and judged craters. Which images were judged may depend on
            their scores.
        start: logit above which the tail lies.
        craters: how craters score; when None every image that is not confirmed counts as a blank.
        seed: of the draws.

    Returns:
        The tail; None where the scores do not make one: too few, or nearly all the same.
    """
    plain = np.concatenate([unknown, blanks])
    if len(plain) < LEAST or len(np.unique(plain)) < LEAST // 2:
        return None
    known = None if craters is None else _in_tail(craters, start)
    groups = _grouped(unknown - start), _grouped(blanks - start)
    density = None if known is None else tuple(_density(group[0], known[0] - start, known[1]) for group in groups)
    middle = float(np.log(np.mean(plain - start)))
    sides = [
        np.linspace(*SHAPES, COARSE),
        np.linspace(middle - 1.5, middle + 1.5, COARSE),
        np.zeros(1) if density is None else np.linspace(0, 0.98, COARSE),
    ]
    belief = _belief(sides, groups, density, len(confirmed))
    fine = FINE if density is None else FINE_MIXED
    for _ in range(2):  # from the coarse grid to where it matters, and once more where it was too coarse to tell
        sides = [_narrowed(side, belief, axis, fine) for axis, side in enumerate(sides)]
        belief = _belief(sides, groups, density, len(confirmed))
    chance = np.exp(belief - belief.max())
    rng = np.random.default_rng(seed)
    steps = (np.arange(DRAWS) + rng.random()) / DRAWS
    at = np.searchsorted(np.cumsum(chance.ravel()) / chance.sum(), steps).clip(max=chance.size - 1)
    shape, scale, root = (side[place] for side, place in zip(sides, np.unravel_index(at, chance.shape), strict=True))
    if known is None or density is None:
        count = rng.gamma(len(plain) + 0.5, size=DRAWS)
        return Tail(start, shape, np.exp(scale), count, np.zeros(DRAWS), None, np.zeros(0))
    count = rng.gamma(len(plain) + len(confirmed) + 0.5, size=DRAWS)
    parts = rng.exponential(size=(DRAWS, len(known[0]))) * known[1]
    found = parts / parts.sum(axis=1, keepdims=True)
    share = np.square(root)
    return Tail(start, shape, np.exp(scale), count * (1 - share), count * share, found, known[0])


def _in_tail(craters: Craters, start: float) -> tuple[np.ndarray, np.ndarray] | None:
    inside = logit(craters.scores) > start
    if inside.sum() < LEAST_CRATERS:
        return None
    weight = craters.weight[inside]
    return logit(craters.scores[inside]), weight / weight.sum()


def _grouped(above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and sizes of groups of neighbouring numbers."""
    ordered = np.sort(above)
    many = max(len(ordered) - SINGLE, 0)
    groups = min(many, GROUPS)
    edges = np.concatenate([np.linspace(0, many, groups + 1).astype(int)[:-1], np.arange(many, len(ordered))])
    if not len(edges):
        return np.zeros(0), np.zeros(0)
    counts = np.diff(np.append(edges, len(ordered)))
    return np.add.reduceat(ordered, edges) / counts, counts.astype(float)


def _density(at: np.ndarray, craters: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Density of craters: a Gaussian kernel by Silverman's rule, reflected where the tail begins."""
    mean = np.average(craters, weights=weight)
    spread = float(np.sqrt(np.average(np.square(craters - mean), weights=weight)))
    width = max(1.06 * spread * (1 / np.square(weight).sum()) ** -0.2, 1e-3)
    sums = np.zeros(len(at))
    for side in (craters, -craters):
        sums += np.exp(-0.5 * np.square((at[:, None] - side[None, :]) / width)) @ weight
    density: np.ndarray = np.maximum(sums / (width * np.sqrt(2 * np.pi)), 1e-12)
    return density


def _log_survival(above: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Logarithm of the share of a generalized Pareto distribution beyond; `above` in units of its scale."""
    inner = np.maximum(1 + shape * above, 1e-300)
    small = np.abs(shape) < 1e-6
    logarithm: np.ndarray = np.where(small, -above, -np.log(inner) / np.where(small, 1, shape))
    return logarithm


def _log_density(above: np.ndarray, shape: np.ndarray, scale: np.ndarray) -> np.ndarray:
    scaled = above / np.exp(scale)
    inner = 1 + shape * scaled
    small = np.abs(shape) < 1e-6
    value = np.where(small, -scaled, -(1 / np.where(small, 1, shape) + 1) * np.log(np.maximum(inner, 1e-300)))
    logarithm: np.ndarray = np.where(inner > 0, value, -np.inf) - scale
    return logarithm


def _belief(
    sides: list[np.ndarray],
    groups: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    density: tuple[np.ndarray, ...] | None,
    confirmed: int,
) -> np.ndarray:
    """Logarithm of what is believed of every point of the grid, but for a constant."""
    shape, scale = sides[0][:, None, None, None], sides[1][None, :, None, None]
    share = np.square(sides[2])[None, None, :, None]
    total = np.zeros([len(side) for side in sides])
    with np.errstate(divide="ignore"):
        for number, (above, count) in enumerate(groups):
            alone = _log_density(above[None, None, None, :], shape, scale) + np.log1p(-share)
            if number == 0 and density is not None:
                alone = np.logaddexp(alone, np.log(share) + np.log(density[0])[None, None, None, :])
            total += np.where(count > 0, alone * count, 0).sum(axis=-1)
        if density is not None and confirmed:
            total += confirmed * np.log(share[..., 0])
    return np.where(np.isnan(total), -np.inf, total)


def _narrowed(side: np.ndarray, belief: np.ndarray, axis: int, points: int) -> np.ndarray:
    """A finer side of the grid, over what is believed at all."""
    if len(side) == 1:
        return side
    others = tuple(other for other in range(belief.ndim) if other != axis)
    worth = np.flatnonzero(belief.max(axis=others) > belief.max() - DEPTH)
    low, high = max(worth[0] - 1, 0), min(worth[-1] + 1, len(side) - 1)
    return np.linspace(side[low], side[high], points)
