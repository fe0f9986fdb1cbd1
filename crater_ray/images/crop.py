"""Which part of each image is looked at: found by itself, all of it, or as told by `--crop`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crater_ray.errors import UsageError

SIDES = ("left", "top", "right", "bottom")
_BOX = re.compile(r"(\d+)x(\d+)(?:\+(\d+)\+(\d+))?")
_MARGIN = re.compile(rf"({'|'.join(SIDES)})=(\d+)")


@dataclass(frozen=True)
class Crop:
    """Which part of each image is looked at.

    Attributes:
        text: as given: `auto` (all but an information bar), `none` (all of it), `1024x884` or `1024x884+0+16` (a box
            of so many pixels width and height, so far from the left and the top), or what to leave out at which side:
            `bottom=64`, `top=20,bottom=64`.
    """

    text: str = "auto"

    def __post_init__(self) -> None:
        if self.text in ("auto", "none") or self._box():
            return
        margins = [_MARGIN.fullmatch(part.strip()) for part in self.text.split(",")]
        sides = [match[1] for match in margins if match]
        if len(sides) < len(margins) or len(set(sides)) < len(sides):
            raise UsageError(
                "--crop must be auto, none, WIDTHxHEIGHT, WIDTHxHEIGHT+LEFT+TOP, or what to leave out, such as "
                f"bottom=64 or top=20,bottom=64; received: {self.text!r}"
            )

    @property
    def auto(self) -> bool:
        """Whether information bars are looked for."""
        return self.text == "auto"

    def part(self, height: int, width: int) -> tuple[slice, slice]:
        """Which rows and columns of an image of this size; they may be none at all."""
        if self.text in ("auto", "none"):
            return slice(0, height), slice(0, width)
        if box := self._box():
            wide, high, left, top = (int(number or 0) for number in box.groups())
            return slice(min(top, height), min(top + high, height)), slice(min(left, width), min(left + wide, width))
        out = dict.fromkeys(SIDES, 0) | {side: int(pixels) for side, pixels in _MARGIN.findall(self.text)}
        rows = slice(min(out["top"], height), max(height - out["bottom"], 0))
        return rows, slice(min(out["left"], width), max(width - out["right"], 0))

    def _box(self) -> re.Match[str] | None:
        return _BOX.fullmatch(self.text)
