"""Candidates at the same pixel of many images, more than chance puts there: dust on the detector, a hot pixel."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import nbinom

NEAR = 3.0
"""Pixels: places of one thing differ by about one."""
AROUND = 12.0
"""Pixels around a place that tell how many candidates chance puts there."""
FEWEST = 3
"""Images that a place has to recur in."""
BY_CHANCE = 0.01
"""Groups that chance alone makes of all candidates of a run, at most, on average."""


def same_pixel(x: np.ndarray, y: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Groups of candidates at the same pixel.

    A place recurs when so many others lie within `NEAR` of it that chance would put as many to one of the n places
    with a probability of `BY_CHANCE` at most. Chance is a Poisson count whose density is not known: a gamma
    distribution with the mean of the whole image and a shape of 1, learning from what lies within `AROUND`, for
    candidates crowd in some parts of images. Such a count has a negative binomial distribution.

    Args:
        x, y: (n,) px, of n images of one size.
        height, width: that size.

    Returns:
        Numbers of the members, ascending, of each group, the largest group first.
    """
    n = len(x)
    if n < FEWEST:
        return []
    places = np.stack([x, y], axis=1).astype(float)
    tree = cKDTree(places)
    near = np.asarray(tree.query_ball_point(places, NEAR, return_length=True)) - 1
    around = np.asarray(tree.query_ball_point(places, AROUND, return_length=True)) - 1 - near
    everywhere = (n - 1) * np.pi * NEAR**2 / (height * width)
    rate = 1 / everywhere + (AROUND**2 - NEAR**2) / NEAR**2
    chance = nbinom.sf(near - 1, 1 + around, rate / (rate + 1))
    recurs = (near + 1 >= FEWEST) & (chance * n <= BY_CHANCE)
    free = np.ones(n, bool)
    groups = []
    for place in np.lexsort((np.arange(n), -near)):
        if not (recurs[place] and free[place]):
            continue
        # Around the middle of what lies there, not around one of them that may be at its edge.
        middle = places[tree.query_ball_point(places[place], NEAR)].mean(axis=0)
        members = np.array(sorted(tree.query_ball_point(middle, NEAR)), int)
        members = members[free[members]]
        if len(members) >= FEWEST:
            free[members] = False
            groups.append(members)
    return sorted(groups, key=lambda members: (-len(members), int(members[0])))
