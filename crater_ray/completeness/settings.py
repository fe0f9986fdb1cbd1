"""What a measurement of completeness is told, and which of it decides what is planted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.storage.access import Access

FOLDER = "completeness"
"""In a run's folder, that of the run with planted craters."""
VERSION = 1
"""Raised whenever the same settings plant other craters."""


@dataclass(frozen=True)
class Measurement:
    """What a measurement is told.

    Attributes:
        run: address of the run.
        images: how many to plant a crater into.
        seed: decides which, and which craters.
        diameters: px, the smallest and the largest; logarithms are spread evenly between them.
        strengths: likewise, of the brightness; see `crater_ray.planting.recipe.Recipe`.
        bundle: the run's network; where the run names a shipped one it is found without.
        image_table: the foil search's table of images, for foils; None without.
        pixel_nm: width of a pixel in nm, whatever the images say.
        access: how to reach images and run.
        address: a Ray cluster to use.
        log: a file to append a structured log to.
    """

    run: str
    images: int = 1_000
    seed: int = 0
    diameters: tuple[float, float] = (3.0, 40.0)
    strengths: tuple[float, float] = (0.25, 2.0)
    bundle: str | None = None
    image_table: Path | None = None
    pixel_nm: float | None = None
    access: Access = field(default_factory=Access)
    address: str | None = None
    log: Path | None = None

    def __post_init__(self) -> None:
        if self.images < 1:
            raise UsageError(f"--images must be at least 1; received: {self.images}")
        if self.seed < 0:
            raise UsageError(f"--seed must be a whole number from 0; received: {self.seed}")
        for name, (low, high), most in (("diameters", self.diameters, 40.0), ("strengths", self.strengths, 10.0)):
            least = 2.0 if name == "diameters" else 0.05
            if not least <= low <= high <= most:
                raise UsageError(
                    f"--{name} must be a smaller and a larger number from {least:g} to {most:g}; "
                    f"received: {low:g} {high:g}"
                )

    def told(self) -> dict[str, Any]:
        """What the run's settings say of the planting; JSON values."""
        table = None
        if self.image_table is not None:
            try:
                table = hashlib.sha256(self.image_table.read_bytes()).hexdigest()[:12]
            except OSError as problem:
                raise UsageError(f"The image table {str(self.image_table)!r} cannot be read: {problem}") from None
        return {
            "version": VERSION,
            "images": self.images,
            "seed": self.seed,
            "diameters": list(self.diameters),
            "strengths": list(self.strengths),
            "image_table": table,
        }


def planting_of(record: dict[str, Any]) -> dict[str, Any] | None:
    """What a run's record says of planted craters; None for every other run.

    Raises:
        CraterRayError: it was planted by another version.
    """
    told = record["settings"].get("planting")
    if told is not None and told.get("version") != VERSION:
        raise CraterRayError(f"It was planted in version {told.get('version')!r}; this one reads version {VERSION}.")
    return told  # type: ignore[no-any-return]
