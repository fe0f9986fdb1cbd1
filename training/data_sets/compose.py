"""Composing images of one background: with and without craters, by the recipe, and what is known of each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data_sets import decoys
from training.data_sets.backgrounds import Photograph, cut
from training.data_sets.blending import SIDE_SPREAD, Look, draw_look, paste_matched, paste_plain
from training.data_sets.seeds import Seed
from training.data_sets.warp import Warped, shading_angle, warp
from training.recipes import Recipe

JPEG_QUALITY = (70, 93)

VISIBILITY = 8.0
"""Least contrast-to-noise times diameter in pixels of a crater. It is the square root of the area times the contrast,
up to a factor near 1, as in Rose's criterion (Rose 1948, JOSA 38): below about 5 no observer sees a disc in noise."""

CROWD = 0.1
"""Squares of the diameters of all craters of one image, of its area, at most: more would not find room."""


@dataclass(frozen=True)
class Sample:
    """One image and its row of the table.

    Attributes:
        pixels: uint8 (h, w), after JPEG.
        row: the columns of `training.data_sets.dataset.COLUMNS`.
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
        return _simulated(rng, shape, name, *([diameter] if diameter else []))
    real_share = recipe.real_share if crater else recipe.real_share * (1 - recipe.planted_share)
    canvas, source, background, quality, defect = _blank(
        rng, photographs, shape, name, plain=plain, real_share=real_share
    )
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


def compose_crowd(
    rng: np.random.Generator,
    recipe: Recipe,
    seeds: Sequence[Seed],
    photographs: Sequence[Photograph],
    shape: tuple[int, int],
    name: str,
    *,
    most: int,
) -> Sample:
    """Make one training image with up to `most` craters, some of which may be too faint to see; as `compose` else.

    One image then teaches as much as many: a network that is told of every position learns from each crater apart.
    """
    from crater_ray.simulate.frame import contrast_to_noise

    diameters = _draw_crowd(rng, recipe, shape, most)
    if rng.random() < recipe.planted_share:
        sample = _simulated(rng, shape, name, *diameters)
        return Sample(sample.pixels, _row_of_crowd(sample.row))
    canvas, source, background, quality, _ = _blank(
        rng, photographs, shape, name, plain=False, real_share=recipe.real_share
    )
    look = draw_look(rng)
    if rng.random() < recipe.decoy_share:
        _paste_decoys(rng, canvas, recipe, look)
    placed: list[tuple[float, float, float]] = []
    for diameter in diameters:
        for _ in range(50):
            x, y = _place(rng, shape, diameter)
            if all(np.hypot(x - px, y - py) > 0.8 * (diameter + size) for px, py, size in placed):
                break
        else:
            continue
        warped = _warp(rng, seeds[int(rng.integers(len(seeds)))], diameter, recipe, look)
        if recipe.matched_merge:
            paste_matched(canvas, warped, x, y, look, rng)
        else:
            paste_plain(canvas, warped, x, y)
        placed.append((x, y, diameter))
    pixels = np.clip(np.round(canvas), 0, 255).astype(np.uint8)
    row = table_row(1, source=f"merged-{source}", background=background, quality=quality)
    row["craters"] = [_listed(x, y, d, contrast_to_noise(pixels, x, y, d)) for x, y, d in placed]
    return Sample(encode_jpeg(pixels, quality), _row_of_crowd(row))


def _draw_crowd(rng: np.random.Generator, recipe: Recipe, shape: tuple[int, int], most: int) -> list[float]:
    """Diameters from large to small, as many as find room without touching."""
    wanted = int(rng.integers(max(1, most // 3), most + 1))
    diameters = sorted((draw_diameter(rng, recipe) for _ in range(wanted)), reverse=True)
    room = np.cumsum(np.square(diameters)) <= CROWD * shape[0] * shape[1]
    return [diameter for diameter, fits in zip(diameters, room, strict=True) if fits or diameter is diameters[0]]


def _listed(x: float, y: float, diameter: float, ratio: float) -> dict[str, Any]:
    return {
        "x": x,
        "y": y,
        "diameter_px": diameter,
        "contrast_to_noise": ratio,
        "visible": ratio * diameter >= VISIBILITY,
    }


def _row_of_crowd(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the first visible crater, or else the first, in the columns that speak of one crater."""
    if not row.get("craters"):
        return row
    first = next((crater for crater in row["craters"] if crater["visible"]), row["craters"][0])
    return {**row, **{name: first[name] for name in ("x", "y", "diameter_px", "contrast_to_noise")}}


def _blank(
    rng: np.random.Generator,
    photographs: Sequence[Photograph],
    shape: tuple[int, int],
    name: str,
    *,
    plain: bool,
    real_share: float,
) -> tuple[np.ndarray, str, str, int, str]:
    """A background to paste into, float32 (h, w); what it is, its name, its JPEG quality and its largest defect."""
    if photographs and rng.random() < real_share:
        photograph = photographs[int(rng.integers(len(photographs)))]
        canvas = cut(rng, photograph, shape, plain=plain)
        return canvas, "real", photograph.name, int(rng.integers(*JPEG_QUALITY)), "photograph"
    blank = _simulated(rng, shape, name, encode=False)
    quality, defect = int(blank.row["jpeg_quality"]), str(blank.row["defect"])
    return blank.pixels.astype(np.float32), "simulated", name, quality, defect


def _simulated(
    rng: np.random.Generator, shape: tuple[int, int], name: str, *diameters: float, encode: bool = True
) -> Sample:
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
        row["craters"] = [_listed(c.x, c.y, c.diameter_px, c.contrast_to_noise) for c in frame.craters]
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
