"""Cut-outs of single craters, as photographs of laboratory impacts are cut out to be pasted elsewhere."""

from __future__ import annotations

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.simulate.camera import Camera
from crater_ray.simulate.crater import draw_crater
from crater_ray.simulate.electrons import Optics, foil_signal, place
from crater_ray.simulate.ranges import Ranges, log_uniform, uniform
from crater_ray.simulate.surface import bare_foil


def seed_crater(rng: np.random.Generator, diameter_px: float = 48.0, ranges: Ranges = Ranges()) -> np.ndarray:
    """Simulate a close-up of one crater and cut it out.

    Args:
        rng: where chance comes from.
        diameter_px: rim crest to rim crest, 6 or more.
        ranges: what varies.

    Returns:
        (s, s, 4) uint8, RGBA: grey in red, green and blue; alpha is full on the crater and its lip and fades outside.

    Raises:
        UsageError: the diameter is too small for a cut-out.
    """
    if not diameter_px >= 6:
        raise UsageError(f"A seed crater needs a diameter of at least 6 px; received: {diameter_px!r}")
    margin = 12
    side = int(np.ceil(diameter_px * 1.9)) + 4
    shape = (side + 2 * margin, side + 2 * margin)
    foil = bare_foil(rng, shape, ranges)
    optics, camera = Optics.draw(rng, ranges), Camera.draw(rng, ranges)
    signal = foil_signal(foil, optics)
    middle = (shape[0] - 1) / 2
    crater = draw_crater(rng, diameter_px, ranges)
    place(foil, signal, crater, (middle, middle), optics)
    grey = camera.expose(rng, signal)[margin:-margin, margin:-margin]
    offset = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    rho, _ = crater.outline.polar(np.broadcast_to(offset, (side, side)), np.broadcast_to(offset[:, None], (side, side)))
    cut, soft = uniform(rng, (1.25, 1.5)), uniform(rng, (0.08, 0.3))
    alpha = np.clip((cut + soft - rho) / soft, 0, 1)
    return np.dstack([grey, grey, grey, np.rint(255 * alpha).astype(np.uint8)])


def seed_library(count: int = 97, seed: int = 0) -> list[np.ndarray]:
    """A library of seed craters of many sizes and exposures, each (s, s, 4) uint8.

    Raises:
        UsageError: the count is negative.
    """
    if count < 0:
        raise UsageError(f"A seed library cannot hold fewer than no craters; received: {count}")
    made = []
    for index in range(count):
        rng = np.random.default_rng([seed, index, 97])
        made.append(seed_crater(rng, log_uniform(rng, (24.0, 140.0))))
    return made
