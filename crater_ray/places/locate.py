"""Where in an image its score comes from: the winning positions of the global max-pool, weighed by what they add.

`locate` gives the middle of the evidence, `find_place` the crater in what the evidence has seen.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from crater_ray.network.evidence import Evidence
from crater_ray.network.stardust import DENSE, RECEPTIVE_FIELD, STRIDE, Weights, feature_size
from crater_ray.places.diameter import ENOUGH, find_ring, search_window

THREADS = 4
"""Candidates of a batch whose pixels are looked at at the same time where a GPU waits for them. On a processor that has
other work meanwhile, one after the other cost a fifth less."""
SIGHT = 38.0
"""Up to this far from its centre, in px, a position is taken to have seen what made it fire: a crater has to lie in
its 92 px with most of its rim."""
SIGHT_EDGE = 4.0
"""How softly that ends, in px."""


def contributions(peaks: np.ndarray, weights: Weights) -> np.ndarray:
    """How much each pooled feature adds to the logit: its value times the logit's gradient by it.

    Source: gradient times input (Shrikumar et al. 2016); with ReLU layers it is exact up to the biases.

    Args:
        peaks: (n, 32) float32, global maximum of each feature.
        weights: the network's weights by name.

    Returns:
        (n, 32) float32.
    """
    activation = peaks
    active: list[np.ndarray] = []
    last = len(DENSE) + 1
    for number in range(1, last):
        activation = activation @ weights[f"dense{number}/kernel"] + weights[f"dense{number}/bias"]
        active.append(activation > 0)
        activation = np.maximum(activation, 0)
    gradient = np.broadcast_to(weights[f"dense{last}/kernel"][:, 0], activation.shape)
    for number in range(last - 1, 0, -1):
        gradient = (gradient * active[number - 1]) @ weights[f"dense{number}/kernel"].T
    return np.asarray(gradient * peaks, np.float32)


def locate(
    peaks: np.ndarray, positions: np.ndarray, height: int, width: int, weights: Weights
) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centre of the evidence in each image.

    The strongest place is the position around which (within one step of the feature map) the features add most;
    the answer is the mean of the positions there, weighed by what they add.

    Args:
        peaks: (n, 32) float32, global maximum of each feature.
        positions: (n, 32) int32, where it lies in the flattened last feature map.
        height, width: of the images in pixels.
        weights: the network's weights by name.

    Returns:
        x and y, each (n,) float32, in pixels from the top left pixel's centre.
    """
    added = np.maximum(contributions(peaks, weights), 0) + 1e-12
    row, column = np.divmod(positions, feature_size(width))
    near = (np.abs(row[:, :, None] - row[:, None, :]) <= 1) & (np.abs(column[:, :, None] - column[:, None, :]) <= 1)
    strength = np.einsum("nij,nj->ni", near, added)
    strongest = strength.argmax(axis=1)
    share = added * near[np.arange(len(added)), strongest]
    share /= share.sum(axis=1, keepdims=True)
    centre = (RECEPTIVE_FIELD - 1) / 2
    x = (share * column).sum(axis=1) * STRIDE + centre
    y = (share * row).sum(axis=1) * STRIDE + centre
    return np.minimum(x, width - 1).astype(np.float32), np.minimum(y, height - 1).astype(np.float32)


@dataclass(frozen=True)
class Place:
    """Where a candidate's crater is.

    Attributes:
        x, y: in px from the top left pixel's centre.
        diameter: in px; None when no ring stands out enough.
    """

    x: float
    y: float
    diameter: float | None


def find_places(
    images: np.ndarray,
    evidence: Evidence,
    floor: np.float32,
    threshold: np.float32,
    weights: Weights,
    threads: int = 1,
) -> np.ndarray:
    """Where the scores of a batch come from.

    Args:
        images: (n, h, w) uint8.
        evidence: what the engine says of them.
        floor: images from this score get the middle of their evidence.
        threshold: images from this score get the place and the diameter of their crater.
        weights: the network's weights by name.
        threads: candidates to look at at the same time.

    Returns:
        (n, 3) float32: x, y and diameter in px; not a number where there is none.
    """
    places = np.full((len(images), 3), np.nan, np.float32)
    found = np.flatnonzero(evidence.scores >= floor)
    if not len(found):
        return places
    _, height, width = images.shape
    places[found, :2] = np.stack(
        locate(evidence.peaks[found], evidence.positions[found], height, width, weights), axis=1
    )
    clear = found[evidence.scores[found] >= threshold]

    def look(i: int) -> Place:
        x, y = places[i, :2].tolist()
        return find_place(images[i], evidence.peaks[i], evidence.positions[i], x, y, weights)

    with ThreadPoolExecutor(threads) as pool:  # transforms let other threads run
        for i, place in zip(clear, pool.map(look, clear), strict=True):
            places[i] = place.x, place.y, np.nan if place.diameter is None else place.diameter
    return places


def find_place(
    pixels: np.ndarray, peaks: np.ndarray, positions: np.ndarray, x: float, y: float, weights: Weights
) -> Place:
    """The clearest ring among what the evidence has seen.

    A position of the last feature map sees 92 px and fires wherever in them a crater lies, so that the winning
    positions alone are off by up to 30 px. The ring that stands out in the pixels, weighed by the share of the
    evidence that sees it, is nearer; it asks nothing of the network but the positions, so it serves every engine.

    Args:
        pixels: (h, w) uint8.
        peaks: (32,) float32, positions: (32,) int32, of this image.
        x, y: where `locate` saw the evidence.
        weights: the network's weights by name.

    Returns:
        The ring's place and diameter; x, y and no diameter when there is no evidence or no ring.
    """
    added = np.maximum(contributions(peaks[None], weights)[0], 0)
    if not added.any():
        return Place(x, y, None)
    rows, columns = search_window(x, y, pixels.shape[0], pixels.shape[1])
    row, column = np.divmod(positions, feature_size(pixels.shape[1]))
    share = (added / added.sum()).astype(np.float32)
    weight = (share[:, None] * _sees(rows, row)).T @ _sees(columns, column)
    ring = find_ring(pixels, x, y, weight)
    if ring is None:
        return Place(x, y, None)
    return Place(ring.x, ring.y, ring.diameter if ring.clarity >= ENOUGH else None)


def _sees(pixels: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """How well each position sees each pixel along one axis, 0..1: (positions, pixels)."""
    far = np.abs(pixels[None, :] - (positions[:, None] * STRIDE + (RECEPTIVE_FIELD - 1) / 2))
    return np.asarray(1 / (1 + np.exp((far - SIGHT) / SIGHT_EDGE)), np.float32)
