"""One simulated foil image: bare foil, defects, craters, and the exposure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.simulate import defects as shapes
from crater_ray.simulate.camera import Camera
from crater_ray.simulate.crater import draw_crater
from crater_ray.simulate.defects import Blemish
from crater_ray.simulate.electrons import Optics, foil_signal, place
from crater_ray.simulate.ranges import Range, Ranges, count, happens, uniform
from crater_ray.simulate.scratches import Scratch, draw_scratch
from crater_ray.simulate.specks import sprinkle
from crater_ray.simulate.surface import Foil, bare_foil

SMALLEST_SIDE = 92
"""The network's receptive field: it sees nothing in a smaller image."""

MARGIN = 12
"""Pixels around the image that are simulated and cut off: blur wraps around there."""


@dataclass(frozen=True)
class PlantedCrater:
    """A crater that was put into an image.

    Attributes:
        x, y: its centre in px; 0, 0 is the centre of the first pixel.
        diameter_px: rim crest to rim crest.
        contrast_to_noise: mean grey of the rim (0.4 to 0.62 of the diameter from the centre) minus that of the floor
            (within 0.25), without sign, over the noise of the surroundings (1.4826 times the median absolute
            deviation from 0.9 diameters + 2 px to 1.5 diameters + 6 px, at least half a grey level).
    """

    x: float
    y: float
    diameter_px: float
    contrast_to_noise: float


@dataclass(frozen=True)
class Defect:
    """Something that is not a crater.

    Attributes:
        kind: pit, inclusion, dust, blister, dent, nick, stain, scratch, scratch_end, crossing or speck.
        x, y: its centre in px; may lie outside the image.
        size_px: diameter, or length of a scratch.
    """

    kind: str
    x: float
    y: float
    size_px: float


@dataclass(frozen=True)
class Frame:
    """A simulated image before JPEG.

    Attributes:
        pixels: (h, w) uint8.
        craters: what was planted.
        defects: what else can be seen.
        jpeg_quality: what it should be saved with.
    """

    pixels: np.ndarray
    craters: tuple[PlantedCrater, ...]
    defects: tuple[Defect, ...]
    jpeg_quality: int


def simulate_frame(
    rng: np.random.Generator,
    shape: tuple[int, int] = (384, 512),
    diameters_px: Sequence[float] = (),
    ranges: Ranges = Ranges(),
) -> Frame:
    """Simulate one image of foil.

    Args:
        rng: where chance comes from; the same state gives the same pixels.
        shape: height and width in px, each at least 92.
        diameters_px: one crater of each of these diameters is planted, none overlapping another.
        ranges: what varies.

    Raises:
        UsageError: the image is too small, or a crater is too small or too large for it.
    """
    height, width = shape
    if min(height, width) < SMALLEST_SIDE:
        raise UsageError(f"A simulated image needs at least {SMALLEST_SIDE} pixels each way; received: {shape!r}")
    canvas = (height + 2 * MARGIN, width + 2 * MARGIN)
    share = height * width / (384 * 512)
    foil = bare_foil(rng, canvas, ranges)
    listed = _scratch(rng, foil, ranges, share)
    for _ in range(int(rng.integers(1, 4)) if happens(rng, ranges.speck_chance) else 0):
        listed += [Defect("speck", *speck) for speck in sprinkle(rng, foil, ranges, share)]
    blemishes = _draw_blemishes(rng, foil, ranges, share)
    optics, camera = Optics.draw(rng, ranges), Camera.draw(rng, ranges)
    signal = foil_signal(foil, optics)
    for blemish, x, y in blemishes:
        place(foil, signal, blemish, (x, y), optics)
        listed.append(Defect(blemish.kind, x, y, blemish.size))
    planted: list[tuple[float, float, float]] = []
    for diameter in diameters_px:
        x, y = _free_place(rng, shape, diameter, planted)
        place(foil, signal, draw_crater(rng, diameter, ranges), (x + MARGIN, y + MARGIN), optics)
        planted.append((x, y, diameter))
    if happens(rng, ranges.streak_chance):
        _streaks(rng, signal, ranges)
    inside = (slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
    pixels = np.ascontiguousarray(camera.expose(rng, signal)[inside])
    return Frame(
        pixels,
        tuple(PlantedCrater(x, y, d, contrast_to_noise(pixels, x, y, d)) for x, y, d in planted),
        tuple(Defect(d.kind, d.x - MARGIN, d.y - MARGIN, d.size_px) for d in listed),
        camera.jpeg_quality,
    )


def contrast_to_noise(pixels: np.ndarray, x: float, y: float, diameter: float) -> float:
    """How clearly a crater stands out; see `PlantedCrater`. `pixels` is (h, w) uint8, the rest is px."""
    half = int(1.5 * diameter + 8)
    top, left = max(0, round(y) - half), max(0, round(x) - half)
    patch = pixels[top : round(y) + half + 1, left : round(x) + half + 1].astype(np.float32)
    far = np.hypot(np.arange(patch.shape[0])[:, None] + (top - y), np.arange(patch.shape[1])[None, :] + (left - x))
    rim = patch[(far > 0.4 * diameter) & (far < 0.62 * diameter)]
    floor = patch[far <= max(0.25 * diameter, float(far.min()))]
    around = patch[(far > 0.9 * diameter + 2) & (far < 1.5 * diameter + 6)]
    noise = 1.4826 * float(np.median(np.abs(around - np.median(around))))
    return abs(float(rim.mean()) - float(floor.mean())) / max(noise, 0.5)


def _scratch(rng: np.random.Generator, foil: Foil, ranges: Ranges, share: float) -> list[Defect]:
    canvas = (foil.height.shape[0], foil.height.shape[1])
    made: list[Defect] = []
    crossing = happens(rng, ranges.crossing_chance)
    previous: Scratch | None = None
    for number in range(count(rng, ranges.scratch_count, share)):
        through = previous if crossing and number == 1 else None
        scratch = draw_scratch(rng, canvas, ranges, through)
        scratch.engrave(foil.height)
        made.append(Defect("scratch", scratch.x, scratch.y, scratch.length))
        made += [Defect("scratch_end", *end, 2 * scratch.width) for end in scratch.ends()]
        if through is not None:
            made.append(Defect("crossing", scratch.x, scratch.y, 2 * max(scratch.width, through.width)))
        previous = scratch
    return made


def _draw_blemishes(
    rng: np.random.Generator, foil: Foil, ranges: Ranges, share: float
) -> list[tuple[Blemish, float, float]]:
    kinds: tuple[tuple[Callable[[np.random.Generator, Ranges, float], Blemish], Range], ...] = (
        (shapes.draw_stain, ranges.stain_count),
        (shapes.draw_dent, ranges.dent_count),
        (shapes.draw_blister, ranges.blister_count),
        (shapes.draw_inclusion, ranges.inclusion_count),
        (shapes.draw_pit, ranges.pit_count),
        (shapes.draw_nick, ranges.nick_count),
        (shapes.draw_dust, ranges.dust_count),
    )
    h, w = foil.height.shape
    made = []
    in_a_row = happens(rng, ranges.stringer_chance)
    row_x, row_y, spread = uniform(rng, (0, w)), uniform(rng, (0, h)), uniform(rng, (1, 12))
    for draw, bounds in kinds:
        for _ in range(count(rng, bounds, share)):
            blemish = draw(rng, ranges, foil.magnification)
            x, y = uniform(rng, (0, w)), uniform(rng, (0, h))
            if in_a_row and blemish.kind in ("inclusion", "pit") and happens(rng, 0.7):
                along, aside = float(rng.normal(0, 0.25 * w)), float(rng.normal(0, spread))
                x = row_x + along * float(np.cos(foil.rolling)) - aside * float(np.sin(foil.rolling))
                y = row_y + along * float(np.sin(foil.rolling)) + aside * float(np.cos(foil.rolling))
            made.append((blemish, x, y))
    return made


def _free_place(
    rng: np.random.Generator, shape: tuple[int, int], diameter: float, planted: list[tuple[float, float, float]]
) -> tuple[float, float]:
    edge = 0.8 * diameter + 2
    if not diameter >= 1 or 2 * edge >= min(shape) - 1:
        raise UsageError(
            f"A crater of {diameter:g} px does not fit into an image of {shape[0]}x{shape[1]} px. "
            f"Diameters must lie between 1 and {(min(shape) - 1 - 4) / 1.6:.0f} px."
        )
    for _ in range(200):
        x, y = uniform(rng, (edge, shape[1] - 1 - edge)), uniform(rng, (edge, shape[0] - 1 - edge))
        if all(np.hypot(x - px, y - py) > 0.8 * (diameter + size) for px, py, size in planted):
            return x, y
    raise UsageError(
        f"{len(planted) + 1} craters do not fit into an image of {shape[0]}x{shape[1]} px without touching. "
        "Ask for fewer or smaller ones."
    )


def _streaks(rng: np.random.Generator, signal: np.ndarray, ranges: Ranges) -> None:
    h, w = signal.shape
    for _ in range(int(rng.integers(1, 8))):
        top, start = int(rng.integers(0, h)), int(rng.integers(0, w))
        rows = slice(top, min(h, top + int(rng.integers(1, 12))))
        strength = uniform(rng, ranges.streak_strength) * (1 if rng.random() < 0.5 else -1)
        x = np.arange(w - start, dtype=np.float32)
        trail = np.exp(-x / np.float32(uniform(rng, (15, 300)))) * (1 - np.exp(-x / 6))
        lines = rng.random((len(signal[rows]), 1), np.float32)  # no two scan lines charge alike
        signal[rows, start:] *= 1 + np.float32(strength) * lines * trail
