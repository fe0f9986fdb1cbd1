"""Canvases: a simulated frame or a photograph without craters, for craters and decoys to be put into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data_sets.backgrounds import Photograph, cut
from training.data_sets.sample import JPEG_QUALITY, Sample, crater_entry, encode_jpeg, table_row
from training.data_sets.seeds import Seed
from training.recipes import Images


@dataclass(frozen=True)
class Materials:
    """What the images of a data set are composed of.

    Attributes:
        recipe: how craters are drawn and put into images.
        seeds: the seed craters of this split.
        photographs: the real backgrounds of this split; may be empty.
        shape: height and width in pixels.
        plain: take photographs as they are, without changing their contrast or adding noise.
    """

    recipe: Images
    seeds: Sequence[Seed]
    photographs: Sequence[Photograph]
    shape: tuple[int, int]
    plain: bool = False


@dataclass(frozen=True)
class Canvas:
    """An image without craters.

    Attributes:
        pixels: float32 (h, w), to be changed in place.
        source: `real` or `simulated`.
        background: name of the photograph or of the simulated frame.
        quality: of its JPEG.
        defect: what a blank's row calls its most prominent structure.
    """

    pixels: np.ndarray
    source: str
    background: str
    quality: int
    defect: str


def draw_canvas(rng: np.random.Generator, materials: Materials, name: str, real_share: float) -> Canvas:
    """Draw a canvas; `real_share` of them are photographs, where there are any."""
    if materials.photographs and rng.random() < real_share:
        photograph = materials.photographs[int(rng.integers(len(materials.photographs)))]
        pixels = cut(rng, photograph, materials.shape, plain=materials.plain)
        return Canvas(pixels, "real", photograph.name, int(rng.integers(*JPEG_QUALITY)), "photograph")
    blank = simulate(rng, materials.shape, name, encode=False)
    quality, defect = int(blank.row["jpeg_quality"]), str(blank.row["defect"])
    return Canvas(blank.pixels.astype(np.float32), "simulated", name, quality, defect)


def simulate(
    rng: np.random.Generator, shape: tuple[int, int], name: str, *diameters: float, encode: bool = True
) -> Sample:
    """An image whose foil, defects and craters the simulator's physics rendered.

    Args:
        rng: where randomness comes from.
        shape: height and width in pixels.
        name: what the table calls the background.
        diameters: of its craters, in pixels.
        encode: as JPEG.
    """
    from crater_ray.simulate import simulate_frame

    frame = simulate_frame(rng, shape=shape, diameters_px=diameters)
    quality = int(frame.jpeg_quality)
    largest = max(frame.defects, key=lambda defect: defect.size_px, default=None)
    row = table_row(
        int(bool(diameters)),
        source="simulated",
        defect="" if diameters or largest is None else str(largest.kind),
        background=name,
        quality=quality,
    )
    for planted in frame.craters:
        row |= {
            "diameter_px": float(planted.diameter_px),
            "x": float(planted.x),
            "y": float(planted.y),
            "contrast_to_noise": float(planted.contrast_to_noise),
        }
    if len(frame.craters) > 1:
        row["craters"] = [crater_entry(c.x, c.y, c.diameter_px, c.contrast_to_noise) for c in frame.craters]
    return Sample(encode_jpeg(frame.pixels, quality) if encode else frame.pixels, row)
