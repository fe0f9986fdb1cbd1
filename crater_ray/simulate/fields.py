"""Smooth random fields: the raw material of textures, cheap at any image size."""

from __future__ import annotations

import numpy as np
from scipy import fft

Shape = tuple[int, int]


def frequencies(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Cycles per pixel of `scipy.fft.rfft2`: (h, 1) and (1, w // 2 + 1) float32."""
    return (
        fft.fftfreq(shape[0]).astype(np.float32)[:, None],
        fft.rfftfreq(shape[1]).astype(np.float32)[None, :],
    )


def spectral(rng: np.random.Generator, amplitude: np.ndarray, shape: Shape) -> np.ndarray:
    """A Gaussian field with this amplitude spectrum (h, w // 2 + 1), as (h, w) float32 of unspecified scale."""
    noise = rng.standard_normal((*amplitude.shape, 2), np.float32).view(np.complex64)[..., 0]
    field: np.ndarray = fft.irfft2(noise * amplitude, shape)
    return field


def blurred(transform: np.ndarray, sigma_y: float, sigma_x: float, angle: float, shape: Shape) -> np.ndarray:
    """Blur with an elliptic Gaussian, given the image's `rfft2`.

    Args:
        transform: (h, w // 2 + 1) complex64.
        sigma_y, sigma_x: px, before the ellipse is turned.
        angle: radians by which it is turned.
        shape: (h, w) of the image. Its opposite edges touch; keep a margin.
    """
    fy, fx = frequencies(shape)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    exponent = (sigma_x * (fx * cos + fy * sin)) ** 2 + (sigma_y * (fy * cos - fx * sin)) ** 2
    image: np.ndarray = fft.irfft2(transform * np.exp(np.float32(-2 * np.pi**2) * exponent), shape)
    return image


def clouds(rng: np.random.Generator, shape: Shape, length: float) -> np.ndarray:
    """A smooth field of about unit rms that changes over `length` px: cubic B-splines on random knots.

    Returns:
        (h, w) float32.
    """
    knots = rng.standard_normal((int(shape[0] / length) + 5, int(shape[1] / length) + 5), np.float32)
    offset = rng.random(2)
    rows = _spline(knots, shape[0], length, float(offset[0]))
    field = _spline(np.ascontiguousarray(rows.T), shape[1], length, float(offset[1])).T
    return np.ascontiguousarray(field) * np.float32(2.1)  # a spline of unit knots has an rms of 1 / 2.1


def _spline(knots: np.ndarray, samples: int, length: float, offset: float) -> np.ndarray:
    place = np.arange(samples, dtype=np.float32) / np.float32(length) + np.float32(offset)
    cell = place.astype(np.intp)
    t = (place - cell)[:, None].astype(np.float32)
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    result: np.ndarray = weights[0] * knots[cell]
    for step in (1, 2, 3):
        result += weights[step] * knots[cell + step]
    return result


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear enlargement by a whole factor; samples are cell centres, edges repeat. (h, w) to (h * f, w * f)."""
    if factor == 1:
        return image
    for _ in range(2):  # rows first, then columns through the transpose
        place = (np.arange(image.shape[0] * factor, dtype=np.float32) + 0.5) / factor - 0.5
        place = np.clip(place, 0, image.shape[0] - 1)
        low = np.minimum(place.astype(np.intp), max(image.shape[0] - 2, 0))
        t = (place - low)[:, None].astype(np.float32)
        image = (image[low] * (1 - t) + image[np.minimum(low + 1, image.shape[0] - 1)] * t).T
    return np.ascontiguousarray(image)


def shrunk(image: np.ndarray, factor: int) -> np.ndarray:
    """Box average by a whole factor: (h * f, w * f) to (h, w)."""
    if factor == 1:
        return image
    h, w = image.shape
    average: np.ndarray = image.reshape(h // factor, factor, w // factor, factor).mean(axis=(1, 3))
    return average
