"""Trials: images of foreign origin on which any bundle is tried, and what is asked of it there.

foil          foreign foil, half of the images with one visible crater (see `crater_ray.planting.visibility`)
photographs   the same craters in photographs that training never saw; thresholds from those photographs
strange       photographs of kinds that training never saw, without craters
crowded       5 to 40 craters of low contrast on foreign foil
doubled       the images of `foil`, shown at twice the size
blurred       the images of `foil`, blurred by 2 px
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crater_ray.planting.visibility import SEEN, matched_filter_ratio
from training.data_sets.backgrounds import Photograph, cut
from training.data_sets.foreign import DIAMETERS, STRENGTH, Look, draw_defect, draw_foil, draw_look, put_crater
from training.data_sets.sample import JPEG_QUALITY, develop, table_row

SHAPE = (384, 512)
CROWD = (5, 41)
CROWD_DIAMETERS = (5.0, 20.0)
CROWD_STRENGTH = (0.08, 0.25)


@dataclass(frozen=True)
class Trial:
    """Images with what is known of them.

    Attributes:
        images: (n, h, w) uint8.
        truth: (n, 4) float32: x, y and diameter in px of the one crater, and the signal over noise that a matched
            filter has of it; not a number where there is none, or where there are many.
    """

    images: np.ndarray
    truth: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """(n,) 1 where there is one crater."""
        return np.asarray(np.isfinite(self.truth[:, 2]), int)


def draw_trials(
    photographs: Sequence[Photograph], strange: Sequence[Photograph], count: int, seed: int = 0
) -> dict[str, Trial]:
    """Draw all trials, `count` images with and as many without a crater each; those without pictures are left out."""
    trials = {"foil": _trial([_on_foil(np.random.default_rng([seed, 1, n]), n % 2 == 1) for n in range(2 * count)])}
    if photographs:
        trials["photographs"] = _trial(
            [_on_photograph(np.random.default_rng([seed, 2, n]), photographs, n % 2 == 1) for n in range(2 * count)]
        )
    if strange:
        trials["strange"] = _trial(
            [_on_photograph(np.random.default_rng([seed, 3, n]), strange, False) for n in range(count)]
        )
    trials["crowded"] = _trial([_crowded(np.random.default_rng([seed, 4, n])) for n in range(max(20, count // 4))])
    trials["doubled"], trials["blurred"] = _doubled(trials["foil"]), _blurred(trials["foil"])
    return trials


@dataclass(frozen=True)
class _Taken:
    """One image, uint8 (h, w), and the four numbers of `Trial.truth`."""

    pixels: np.ndarray
    truth: tuple[float, ...] = (np.nan,) * 4


def _trial(taken: list[_Taken]) -> Trial:
    return Trial(np.stack([one.pixels for one in taken]), np.array([one.truth for one in taken], np.float32))


def _finished(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    return develop(canvas, table_row(0, source="", background="", quality=int(rng.integers(*JPEG_QUALITY)))).pixels


def _planted(rng: np.random.Generator, canvas: np.ndarray, noise: np.ndarray, look: Look) -> _Taken:
    """One crater, fainter or clearer, but so clear that a matched filter sees it."""
    diameter = float(np.exp(rng.uniform(*np.log(DIAMETERS))))
    margin = diameter * 0.8 + 4.0
    x, y = (float(rng.uniform(margin, length - 1 - margin)) for length in (canvas.shape[1], canvas.shape[0]))
    strength, ratio = float(np.exp(rng.uniform(*np.log(STRENGTH)))), 0.0
    seed = rng.spawn(1)[0].bit_generator.state
    for _ in range(10):
        image, same = canvas.copy(), np.random.default_rng()
        same.bit_generator.state = seed
        put_crater(same, image, (x, y, diameter), strength, look)
        ratio = matched_filter_ratio(image - canvas, canvas + noise, x, y, diameter)
        if ratio >= SEEN:
            break
        strength *= 1.4
    return _Taken(_finished(rng, image + noise), (x, y, diameter, ratio))


def _on_foil(rng: np.random.Generator, crater: bool) -> _Taken:
    canvas, look = draw_foil(rng, SHAPE), draw_look(rng)
    for _ in range(int(rng.poisson(2.0))):
        draw_defect(rng, canvas, look)
    noise = rng.normal(0.0, float(rng.uniform(1.0, 9.0)), SHAPE)
    return _planted(rng, canvas, noise, look) if crater else _Taken(_finished(rng, canvas + noise))


def _on_photograph(rng: np.random.Generator, photographs: Sequence[Photograph], crater: bool) -> _Taken:
    canvas = cut(rng, photographs[int(rng.integers(len(photographs)))], SHAPE, plain=True).astype(np.float32)
    if not crater:
        return _Taken(_finished(rng, canvas))
    return _planted(rng, canvas, np.zeros(SHAPE), draw_look(rng))


def _crowded(rng: np.random.Generator) -> _Taken:
    canvas, look = draw_foil(rng, SHAPE), draw_look(rng)
    for _ in range(int(rng.integers(*CROWD))):
        diameter = float(np.exp(rng.uniform(*np.log(CROWD_DIAMETERS))))
        x, y = (float(rng.uniform(diameter, length - diameter)) for length in (SHAPE[1], SHAPE[0]))
        put_crater(rng.spawn(1)[0], canvas, (x, y, diameter), float(rng.uniform(*CROWD_STRENGTH)), look)
    return _Taken(_finished(rng, canvas + rng.normal(0.0, float(rng.uniform(1.0, 5.0)), SHAPE)))


def _doubled(trial: Trial) -> Trial:
    import cv2

    images = [cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for image in trial.images]
    truth = trial.truth * np.array([2, 2, 2, 1], np.float32) + np.array([0.5, 0.5, 0, 0], np.float32)
    return Trial(np.stack(images), truth)


def _blurred(trial: Trial) -> Trial:
    import cv2

    return Trial(np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in trial.images]), trial.truth)
