"""Review budgets: the share of planted craters found by someone who looks at so many of a run's best images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.shares import Share, share_of
from crater_ray.results.open_run import Results
from crater_ray.runs.run import Run

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Of a run's images."""
SIZES = ((0.0, 8.0), (8.0, 16.0), (16.0, np.inf))
"""Classes of diameter, px."""
NAMES = ("below 8 px", "8 to 16 px", "16 px and more")


@dataclass(frozen=True)
class Budget:
    """What a review budget finds.

    Attributes:
        images: of the run, to look at.
        score: the lowest of them.
        sizes: shares of the visible craters: of all, then of each of `SIZES`.
    """

    images: int
    score: float
    sizes: list[Share]

    def record(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"sizes": [share.record() for share in self.sizes]}


def budgets(run: Run, craters: PlantedCraters) -> list[Budget]:
    """Budgets from one in a thousand of a run's images to a third of them."""
    parts = [rows["score"].drop_null().to_numpy() for rows in Results(run).parts(["score"])]
    scores = np.sort(np.concatenate([np.zeros(0, np.float32), *parts]))[::-1]
    diameter, visible = craters.column("diameter"), craters.column("visible").astype(bool)
    found: list[Budget] = []
    for part in SHARES:
        images = round(part * len(scores))
        if images < 1 or (found and found[-1].images == images):
            continue
        cut = float(scores[images - 1])
        sizes = [share_of("budget", "all", craters, visible, cut)]
        for name, (low, high) in zip(NAMES, SIZES, strict=True):
            sizes.append(share_of("budget", name, craters, visible & (diameter >= low) & (diameter < high), cut))
        found.append(Budget(images, cut, sizes))
    return found
