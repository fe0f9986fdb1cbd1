"""Composing images of one background: with and without craters, by the recipe, and what is known of each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training import decoys
from training.backgrounds import Photograph, cut
from training.merge import SIDE_SPREAD, Look, draw_look, paste_matched, paste_plain
from training.recipes import Recipe
from training.seeds import Seed
from training.warp import Warped, shading_angle, warp

JPEG_QUALITY = (70, 93)

VISIBILITY = 8.0
"""Least contrast-to-noise times diameter in pixels of a crater. It is the square root of the area times the contrast,
up to a factor near 1, as in Rose's criterion (Rose 1948, JOSA 38): below about 5 no observer sees a disc in noise."""


@dataclass(frozen=True)
class Sample:
    """One image and its row of the table.

    Attributes:
        pixels: uint8 (h, w), after JPEG.
        row: the columns of `training.dataset.COLUMNS`.
    """

    pixels: np.ndarray
    row: dict[str, Any]


def draw_diameter(rng: np.random.Generator, recipe: Recipe) -> float:
    """Draw a crater diameter in pixels."""
    low, high = recipe.diameters_px
    if recipe.log_uniform:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return float(rng.uniform(low, high))


def compose_visible(
    rng: np.random.Generator,
    recipe: Recipe,
    seeds: Sequence[Seed],
    photographs: Sequence[Photograph],
    shape: tuple[int, int],
    name: str,
    *,
    crater: bool,
    plain: bool = False,
    visibility: float = VISIBILITY,
) -> Sample:
    """Make one image, and make it anew, up to eight times, while its crater cannot be seen; arguments as `compose`."""
    for attempt in range(8):
        sample = compose(
            rng, recipe, seeds, photographs, shape, f"{name}.{attempt}" if attempt else name, crater=crater, plain=plain
        )
        row = sample.row
        if not crater or row["contrast_to_noise"] * row["diameter_px"] >= visibility:
            break
    return sample


def compose(
    rng: np.random.Generator,
    recipe: Recipe,
    seeds: Sequence[Seed],
    photographs: Sequence[Photograph],
    shape: tuple[int, int],
    name: str,
    *,
    crater: bool,
    plain: bool = False,
) -> Sample:
    """Make one image.

    Args:
        rng: where randomness comes from.
        recipe: how craters are drawn and merged.
        seeds: the seed craters of this split.
        photographs: the real backgrounds of this split; may be empty.
        shape: height and width in pixels.
        name: what the table calls the background when it is simulated.
        crater: with a crater or without.
        plain: take photographs as they are, without changing their contrast or adding noise.
    """
    from crater_ray.simulate.frame import contrast_to_noise

    diameter = draw_diameter(rng, recipe) if crater else None
    if crater and rng.random() < recipe.planted_share:
        return _simulated(rng, shape, name, diameter)
    if photographs and rng.random() < (recipe.real_share if crater else recipe.real_share * (1 - recipe.planted_share)):
        photograph = photographs[int(rng.integers(len(photographs)))]
        canvas, source, background = cut(rng, photograph, shape, plain=plain), "real", photograph.name
        quality, defect = int(rng.integers(*JPEG_QUALITY)), "photograph"
    else:
        blank = _simulated(rng, shape, name, None, encode=False)
        canvas, source, background = blank.pixels.astype(np.float32), "simulated", name
        quality, defect = int(blank.row["jpeg_quality"]), str(blank.row["defect"])
    look = draw_look(rng)
    if diameter is None:
        if rng.random() < recipe.decoy_share:
            source, defect = f"decoy-{source}", _paste_decoys(rng, canvas, recipe, look)
        return _finish(
            canvas, quality, table_row(0, source=source, defect=defect, background=background, quality=quality)
        )
    seed = seeds[int(rng.integers(len(seeds)))]
    x, y = _place(rng, shape, diameter)
    warped = _warp(rng, seed, diameter, recipe, look)
    if recipe.matched_merge:
        paste_matched(canvas, warped, x, y, look, rng)
    else:
        paste_plain(canvas, warped, x, y)
    ratio = contrast_to_noise(np.clip(np.round(canvas), 0, 255).astype(np.uint8), x, y, diameter)
    row = table_row(1, source=f"merged-{source}", background=background, quality=quality)
    row |= {"diameter_px": diameter, "x": x, "y": y, "contrast_to_noise": ratio, "seed_crater": seed.number}
    return _finish(canvas, quality, row)


def _simulated(
    rng: np.random.Generator, shape: tuple[int, int], name: str, diameter: float | None, *, encode: bool = True
) -> Sample:
    from crater_ray.simulate import simulate_frame

    frame = simulate_frame(rng, shape=shape, diameters_px=() if diameter is None else (diameter,))
    quality = int(frame.jpeg_quality)
    largest = max(frame.defects, key=lambda defect: defect.size_px, default=None)
    row = table_row(
        int(diameter is not None),
        source="simulated",
        defect="" if diameter is not None or largest is None else str(largest.kind),
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
    return Sample(encode_jpeg(frame.pixels, quality) if encode else frame.pixels, row)


def _place(rng: np.random.Generator, shape: tuple[int, int], diameter: float) -> tuple[float, float]:
    """A place where the whole crater, its rim included, lies inside the image."""
    margin = min(diameter * 0.75 + 4.0, min(shape) / 2.0 - 1.0)
    x = float(np.round(rng.uniform(margin, shape[1] - 1 - margin)))
    y = float(np.round(rng.uniform(margin, shape[0] - 1 - margin)))
    return x, y


def _warp(rng: np.random.Generator, seed: Seed, diameter: float, recipe: Recipe, look: Look) -> Warped:
    aspect = float(np.clip(rng.normal(1.0, recipe.aspect_spread), 0.6, 1.6))
    mirrored = bool(rng.random() < 0.5)
    if not recipe.matched_merge:
        return warp(seed, diameter, float(rng.uniform(0, 2 * np.pi)), aspect)
    # Turn the crater so that its bright side lies where the bright side of this image's craters is.
    wanted = look.side + float(rng.normal(0.0, SIDE_SPREAD))
    own = shading_angle(seed)
    angle = np.pi - wanted - own if mirrored else wanted - own
    return warp(seed, diameter, float(angle), aspect, mirrored=mirrored)


def _paste_decoys(rng: np.random.Generator, canvas: np.ndarray, recipe: Recipe, look: Look) -> str:
    """Paste one to three decoys, in place, and name the first."""
    kinds = []
    for _ in range(int(rng.integers(1, 4))):
        kind, decoy = decoys.draw(rng)
        diameter = draw_diameter(rng, recipe)
        warped = _warp(rng, decoy, diameter, recipe, look)
        x, y = _place(rng, (canvas.shape[0], canvas.shape[1]), diameter)
        paste_matched(canvas, warped, x, y, look, rng)
        kinds.append(kind)
    return kinds[0]


def table_row(label: int, *, source: str, background: str, quality: int, defect: str = "") -> dict[str, Any]:
    """One row of the table of a data set, not knowing of any crater yet."""
    nothing = float("nan")
    return {
        "label": label,
        "diameter_px": nothing,
        "x": nothing,
        "y": nothing,
        "contrast_to_noise": nothing,
        "source": source,
        "defect": defect,
        "seed_crater": -1,
        "background": background,
        "jpeg_quality": quality,
    }


def _finish(canvas: np.ndarray, quality: int, row: dict[str, Any]) -> Sample:
    return Sample(encode_jpeg(np.clip(np.round(canvas), 0, 255).astype(np.uint8), quality), row)


def encode_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """What a uint8 image (h, w) looks like after JPEG of that quality."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))
