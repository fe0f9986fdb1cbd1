"""What a page needs to find candidates that look alike: short directions, in the order in which it shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crater_ray.errors import CraterRayError
from crater_ray.results.similar.describe import describe, network_of
from crater_ray.results.similar.kept import matrix
from crater_ray.results.similar.look_alikes import LookAlikes
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access


def directions_of(
    run: Run,
    keys: Sequence[str],
    access: Access,
    bundle: str | None = None,
    threshold: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray | None:
    """Directions of candidates; features that are not kept with the run yet are made and kept.

    Args:
        run: whose candidates they are.
        keys: of the candidates, in order.
        access, threshold, progress: see `crater_ray.results.similar.describe.describe`.
        bundle: see `crater_ray.results.similar.describe.network_of`.

    Returns:
        (n, d) int8, zeros for candidates of which nothing is known; None where nothing is known of any.
    """
    try:
        described = describe(run, access, network_of(run, bundle), threshold, progress)
    except CraterRayError:  # no candidate has a place, or no image is there: a gallery says so itself
        return None
    short = LookAlikes.of(matrix(described.table)).short()
    places = {key: place for place, key in enumerate(described.table["key"].to_pylist())}
    directions = np.zeros((len(keys), short.shape[1]), np.int8)
    for row, key in enumerate(keys):
        if key in places:
            directions[row] = short[places[key]]
    return directions
