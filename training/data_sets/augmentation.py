"""Augmentation: images flipped, turned, moved round their edges, and with another gamma."""

from __future__ import annotations

import numpy as np

TONES = 0.2
"""Largest natural logarithm of an image's new gamma, up or down, in `augment`."""


def augment(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Turn images over, up and down and left and right, move some round their edges, and change their tones.

    Args:
        rng: decides how.
        images: (n, height, width) uint8.
    """
    augmented = np.empty_like(images)
    for out, image in zip(augmented, images, strict=True):
        turned = image[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        out[:] = np.roll(turned, rng.integers(0, image.shape), (0, 1)) if rng.random() < 0.5 else turned
    return change_tones(rng, augmented, TONES)


def flip(
    rng: np.random.Generator, pixels: np.ndarray, craters: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Flip a batch up-down, left-right or about its diagonal, each with even odds; half of it for variety."""
    height, width = pixels.shape[1:]
    pixels = pixels.copy()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        if rng.random() < 0.5:
            pixels[part] = pixels[part, ::-1].copy()
            for found in craters[part]:
                found[:, 1] = height - 1 - found[:, 1]
        if rng.random() < 0.5:
            pixels[part] = pixels[part, :, ::-1].copy()
            for found in craters[part]:
                found[:, 0] = width - 1 - found[:, 0]
        if height == width and rng.random() < 0.5:
            pixels[part] = pixels[part].swapaxes(1, 2).copy()
            for found in craters[part]:
                found[:, :2] = found[:, 1::-1].copy()
    return pixels, craters


def change_tones(rng: np.random.Generator, pixels: np.ndarray, spread: float) -> np.ndarray:
    """Each image through a gamma of its own, as detectors and operators differ; black and white stay."""
    gammas = np.exp(rng.uniform(-spread, spread, (len(pixels), 1)))
    tables = np.round(255.0 * (np.arange(256.0) / 255.0) ** gammas).astype(np.uint8)
    toned = np.empty_like(pixels)
    for table, image, out in zip(tables, pixels, toned, strict=True):
        # Of all ways to look up, the one that lets other threads run meanwhile.
        np.take(table, image, out=out, mode="clip")
    return toned
