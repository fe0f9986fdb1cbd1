"""One scene: a surface, defects, craters at a chosen visibility, and the image that a camera takes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.scenes.camera import Camera
from training.scenes.cutouts import draw_cutout
from training.scenes.defects import draw_defect, draw_kind
from training.scenes.relief import Patch, draw_crater
from training.scenes.surfaces import draw_surface

VISIBLE = 8.0
"""From which signal over noise of a matched filter a crater is labelled: its squared change of brightness, summed, over
the variance of noise and texture (Rose 1948, JOSA 38: below about 5 no observer sees it)."""

VISIBLE_RIM = 3.0
"""From which signal over noise of what is brighter than the surface, by the same measure: else a crater's floor is all
that is seen of it, and nothing tells it from a stain."""

RIMLESS = 0.3
"""How often a defect is the floor of a crater without its rim."""

SWARMS = 0.15
"""Of the scenes have many defects of one kind."""


@dataclass(frozen=True)
class Sources:
    """What scenes are made from.

    Attributes:
        pictures: blanks, uint8 (h, w): photographs and simulated foil.
        textures: pictures of anything without craters, as `training.finder.textures` collects them; may be empty.
        texture_share: how often one of them is taken for a surface instead of one of `pictures`.
        cutouts: seed craters as `training.scenes.cutouts.draw_cutout` takes them; may be empty.
        drawn_share: how often a surface is drawn instead of taken from a picture.
        grain_share: of the drawn ones, how many are packed grains.
        cutout_share: how often a crater is a cut-out instead of a height map.
        crater_share: how many scenes have craters at all.
        defects: how many, over what training has.
        crowds: scenes may have many craters; else they have one, if any.
    """

    pictures: Sequence[np.ndarray]
    textures: Sequence[np.ndarray] = ()
    texture_share: float = 0.3
    cutouts: Sequence[tuple[np.ndarray, float]] = ()
    drawn_share: float = 0.3
    grain_share: float = 0.2
    cutout_share: float = 0.4
    crater_share: float = 0.75
    defects: float = 1.0
    crowds: bool = True


@dataclass(frozen=True)
class Scene:
    """An image and the truth about it.

    Attributes:
        image: uint8 (size, size).
        craters: (n, 4) float32: x, y and diameter in px, and the signal over noise of a matched filter, 0 where the
            rim cannot be seen.
    """

    image: np.ndarray
    craters: np.ndarray


def draw_scene(rng: np.random.Generator, sources: Sources, size: int) -> Scene:
    """Draw one scene of `size` px each way."""
    camera = Camera.draw(rng)
    side = max(48, round(size / camera.scale))
    pictures = sources.textures if sources.textures and rng.random() < sources.texture_share else sources.pictures
    canvas = draw_surface(rng, pictures, side, sources.drawn_share, sources.grain_share)
    detector = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.poisson(rng.choice((0.0, 1.5, 5.0)) * (size / 192) ** 2 * sources.defects))):
        rimless = rng.random() < RIMLESS
        _put_defect(rng, canvas, draw_floor(rng, sources, detector) if rimless else draw_defect(rng, detector))
    if rng.random() < SWARMS * sources.defects:
        _put_swarm(rng, canvas, detector)
    placed: list[tuple[float, float, float, float]] = []
    canvas = camera.blur(canvas)
    if rng.random() < sources.crater_share:
        wanted = int(rng.integers(1, 5)) if rng.random() < 0.7 else int(rng.integers(5, 25))
        wanted = wanted if sources.crowds else 1
        # A crowd is mostly of one kind of visibility.
        faintness = rng.uniform(0, 1)
        for _ in range(wanted):
            _put_crater(rng, canvas, camera, sources, detector, placed, faintness)
    image = camera.take(rng, canvas, size)
    craters = np.asarray(placed, np.float32).reshape(-1, 4)
    scale = np.float32(size / side)
    craters[:, :2] = (craters[:, :2] + 0.5) * scale - 0.5
    craters[:, 2] *= scale
    return Scene(image, craters)


def _put_swarm(rng: np.random.Generator, canvas: np.ndarray, detector: float) -> None:
    """Many defects of one kind, as powder, precipitates or etch pits come."""
    kind = draw_kind(rng)
    size, strength = float(np.exp(rng.uniform(np.log(3.0), np.log(30.0)))), float(rng.uniform(0.2, 1.5))
    for _ in range(int(rng.integers(6, 40))):
        patch = draw_defect(rng, detector, kind, size * float(np.exp(rng.normal(0, 0.3))))
        _put_defect(rng, canvas, patch, strength * float(rng.uniform(0.6, 1.0)))


def _put_defect(rng: np.random.Generator, canvas: np.ndarray, patch: Patch, strength: float | None = None) -> None:
    x, y = rng.uniform(0, canvas.shape[1] - 1, 2)
    if strength is None:
        strength = float(np.exp(rng.uniform(np.log(0.08), np.log(1.2))))
    window, inner = _overlap(canvas.shape, patch, round(x), round(y))
    canvas[window] *= np.clip(1 + strength * patch.change[inner], 0.03, 4.0)
    np.clip(canvas[window], 1, 255, out=canvas[window])


def _put_crater(
    rng: np.random.Generator,
    canvas: np.ndarray,
    camera: Camera,
    sources: Sources,
    detector: float,
    placed: list[tuple[float, float, float, float]],
    faintness: float,
) -> None:
    side = canvas.shape[0]
    diameter = _draw_diameter(rng) / camera.scale
    if diameter > 0.5 * side:
        return
    # Also some that the image's border cuts.
    margin = -0.1 * diameter if rng.random() < 0.1 else 0.6 * diameter + 1
    for _ in range(8):
        x, y = (int(value) for value in rng.uniform(margin, side - 1 - margin, 2))
        if all(np.hypot(x - px, y - py) > 0.75 * (diameter + size) for px, py, size, _ in placed):
            break
    else:
        return
    patch = _draw_patch(rng, sources, diameter, detector)
    window, inner = _overlap(canvas.shape, patch, x, y)
    ground = canvas[window]
    if ground.size == 0:
        return
    change = camera.blur(cv2.copyMakeBorder(patch.change, 4, 4, 4, 4, cv2.BORDER_CONSTANT))[4:-4, 4:-4][inner]
    signal = np.sqrt(float(np.square(change * ground).sum()))
    rim = np.sqrt(float(np.square(np.maximum(change, 0) * ground).sum()))
    noise = _noise(ground, camera, diameter)
    most = rng.uniform(0.5, 2.2)
    wanted = VISIBLE * float(np.exp(rng.uniform(-0.2, 0.8 + 2.6 * faintness)))
    strength = min(wanted * noise / max(signal, 1e-3), most)
    if rng.random() < 0.25:  # the texture of the surface does not go on inside
        flat = cv2.GaussianBlur(ground, (0, 0), max(0.4 * diameter, 1.0))
        inside = np.clip(np.abs(change) / max(float(np.abs(change).max()), 1e-6) * 2, 0, 1)
        ground[:] = ground + (flat - ground) * inside
    ground *= np.clip(1 + strength * change, 0.03, 4.0)
    np.clip(ground, 1, 255, out=ground)
    column, row = x - patch.change.shape[1] // 2 + patch.x, y - patch.change.shape[0] // 2 + patch.y
    seen = strength * rim / noise >= VISIBLE_RIM
    placed.append((column, row, diameter, strength * signal / noise if seen else 0.0))


def _draw_patch(rng: np.random.Generator, sources: Sources, diameter: float, detector: float) -> Patch:
    toward = detector + rng.normal(0, 0.3)
    if sources.cutouts and rng.random() < sources.cutout_share:
        return draw_cutout(rng, sources.cutouts, diameter, toward)
    return draw_crater(rng, diameter, toward)


def draw_floor(rng: np.random.Generator, sources: Sources, detector: float) -> Patch:
    """What is darker than the surface of a crater: a pit as round and as deep, but without a rim."""
    patch = _draw_patch(rng, sources, float(np.exp(rng.uniform(np.log(3.0), np.log(40.0)))), detector)
    dark = np.minimum(patch.change, 0)
    return replace(patch, change=dark / max(float(np.ptp(dark)), 1e-6))


def _draw_diameter(rng: np.random.Generator) -> float:
    """Half of 3 to 8 px, as shown; the others up to 45."""
    low, high = (3.0, 8.0) if rng.random() < 0.5 else (8.0, 45.0)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noise(ground: np.ndarray, camera: Camera, diameter: float) -> float:
    """What hides a crater, in grey levels: the camera's noise, the finest texture, and that of the crater's own size.

    Texture as wide as the crater adds up over its area as the crater itself does; white noise does not.
    """
    texture = float(cv2.Laplacian(ground, cv2.CV_32F).std()) / 4.5 if min(ground.shape) > 2 else 0.0
    width = max(1, round(diameter / 3))
    coarse = 0.2 * diameter * float(cv2.blur(ground, (width, width)).std())
    return float(np.sqrt(camera.noise**2 * float(ground.mean()) / 120 + texture**2 + coarse**2 + 0.3))


def _overlap(shape: tuple[int, ...], patch: Patch, x: int, y: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch centred on a pixel and the canvas overlap: as slices of the canvas and of the patch."""
    high, wide = patch.change.shape
    top, left = y - high // 2, x - wide // 2
    rows = slice(max(top, 0), max(min(top + high, shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + wide, shape[1]), 0))
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    return (rows, columns), inner
