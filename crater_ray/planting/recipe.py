"""A recipe: which crater is planted where, as text at the end of an image's address.

Only a run that says of itself that it is planted reads such an end as a recipe; any archive may have files named so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from crater_ray.errors import CraterRayError

MARK = "#crater="
_NUMBER = r"(\d+(?:\.\d+)?)"
_TEXT = re.compile(rf"x:{_NUMBER},y:{_NUMBER},diameter:{_NUMBER},strength:{_NUMBER},seed:(\d+)")


@dataclass(frozen=True)
class Recipe:
    """One planted crater. Its numbers are as exact as its text: make one by `Recipe.rounded`.

    Attributes:
        x, y: its centre in px; 0, 0 is the centre of the first pixel of the image as it is in its file.
        diameter: px, rim crest to rim crest.
        strength: its change of brightness as a multiple of what physics gives where black is no signal at all.
        seed: decides its look.
    """

    x: float
    y: float
    diameter: float
    strength: float
    seed: int

    @classmethod
    def rounded(cls, x: float, y: float, diameter: float, strength: float, seed: int) -> Recipe:
        """A recipe whose numbers survive being written down."""
        return cls(round(x, 2), round(y, 2), round(diameter, 3), round(strength, 4), seed)

    def added_to(self, uri: str) -> str:
        """An image's address with this recipe at its end."""
        place = f"x:{self.x:.2f},y:{self.y:.2f},diameter:{self.diameter:.3f}"
        return f"{uri}{MARK}{place},strength:{self.strength:.4f},seed:{self.seed}"


def split(addresses: Sequence[str]) -> tuple[list[str], list[Recipe]]:
    """Addresses with recipes at their ends: the images' own addresses, and the recipes.

    Raises:
        CraterRayError: one of them has no recipe.
    """
    uris, recipes = [], []
    for address in addresses:
        uri, mark, text = address.rpartition(MARK)
        match = _TEXT.fullmatch(text)
        if not mark or match is None:
            raise CraterRayError(f"This run is of planted craters, but {address!r} does not say which crater to plant.")
        uris.append(uri)
        x, y, diameter, strength = (float(match[place]) for place in range(1, 5))
        recipes.append(Recipe(x, y, diameter, strength, int(match[5])))
    return uris, recipes
