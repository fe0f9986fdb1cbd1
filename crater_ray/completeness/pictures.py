"""Pictures of some planted craters, found and missed, as the network saw them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from crater_ray.completeness.plan import recipe_of
from crater_ray.completeness.planted import PlantedCraters
from crater_ray.images.fetch import fetch
from crater_ray.images.picture import Picture, Reading
from crater_ray.scanning.planted import read_planted
from crater_ray.storage.access import Access

SIZES = (0.0, 5.0, 8.0, 13.0, 20.0, np.inf)
"""Edges of the classes of diameter, px, of which some are shown."""
OF_EACH = 4
"""Craters found, and as many missed, in each class."""
LEAST_SIDE = 48
"""Pixels across a picture, at least."""


@dataclass(frozen=True)
class Shown:
    """One picture.

    Attributes:
        jpeg: as a data URI.
        diameter: px.
        score: of the image.
        found, visible: whether the crater was found at the run's threshold, and whether it could be seen.
    """

    jpeg: str
    diameter: float
    score: float
    found: bool
    visible: bool


def pictures(craters: PlantedCraters, access: Access, reading: Reading = Reading()) -> list[Shown]:
    """Pictures of planted craters by size, found ones first; images that cannot be fetched are left out."""
    rows = np.array(list(_chosen(craters)), int)
    plan = [craters.plan.slice(int(row), 1).to_pylist()[0] for row in rows]
    shown = []
    for row, crater, data in zip(rows, plan, fetch([one["uri"] for one in plan], access, last_try=True), strict=True):
        if not isinstance(data, bytes | memoryview):
            continue
        picture = read_planted(data, recipe_of(crater), reading)
        if isinstance(picture, Picture):
            jpeg = _crop(picture, crater["x"], crater["y"], crater["diameter"])
            found = bool(craters.found(craters.threshold)[row])
            shown.append(Shown(jpeg, crater["diameter"], float(craters.score[row]), found, bool(crater["visible"])))
    return shown


def _chosen(craters: PlantedCraters) -> Iterator[int]:
    diameter, found = craters.column("diameter"), craters.found(craters.threshold)
    for low, high in pairwise(SIZES):
        for wanted in (True, False):
            some = np.flatnonzero((diameter >= low) & (diameter < high) & (found == wanted))
            yield from some[np.unique(np.linspace(0, len(some) - 1, OF_EACH).astype(int))] if len(some) else ()


def _crop(picture: Picture, x: float, y: float, diameter: float) -> str:
    half = max(LEAST_SIDE, round(3 * diameter)) // 2
    padded = np.pad(picture.pixels, half, mode="edge")
    column, row = round(x - picture.left), round(y - picture.top)
    file = io.BytesIO()
    Image.fromarray(padded[row : row + 2 * half, column : column + 2 * half]).save(file, "JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
