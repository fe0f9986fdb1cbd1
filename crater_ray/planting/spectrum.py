"""An image's blur, texture and noise around a spot, from the power spectrum of its pixels.

The spectrum of a surface falls as a power of the frequency, and the optics multiply it by their transfer function.
Noise is added, itself blurred a little by amplifier, rescaling and JPEG:
A f^-a exp(-(2 pi f sigma)^2) + N exp(-(2 pi f tau)^2). The numbers are those of the greatest posterior probability
under the likelihood of Whittle (1953, Ark. Mat. 2, 423), sigma is its mean; priors count where noise leaves it open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

SIGMAS = np.geomspace(0.35, 3.5, 15)
EXPONENTS = np.linspace(0.5, 4.5, 9)
TAUS = np.array([0.0, 0.3, 0.5, 0.7])
FLOORS = np.array([0.02, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 1.0])
"""Noise, as a part of the power at the highest frequencies that are looked at."""
USUAL_SIGMA, SPREAD = 0.85, 0.45
"""Prior of the blur in px: median, and standard deviation of its logarithm. Beams of 0.4 to 1.3 px are usual."""
USUAL_EXPONENT, EXPONENT_SPREAD = 2.0, 0.7
"""Prior of the exponent: mean and standard deviation. A blurred surface must not pass for a smooth, sharp one."""
HIGHEST = 0.32
"""Cycles per px: above, JPEG has taken away more than optics have."""
TAPERED = 0.26
"""Of a tapered window, so many of its values tell something of their own."""
BINS = 24


@dataclass(frozen=True)
class Spectrum:
    """What the pixels around a spot are made of.

    Attributes:
        sigma: px, blur of the optics as a Gaussian.
        exponent: by which the texture's power falls.
        amplitude: the texture's power at one cycle per px, before blur.
        noise: power of the noise at the lowest frequencies: its variance in squared grey levels, were it white.
        tau: px, blur of the noise.
    """

    sigma: float
    exponent: float
    amplitude: float
    noise: float
    tau: float

    @property
    def noise_rms(self) -> float:
        """Grey levels."""
        k = 2 * math.pi * self.tau
        along = math.sqrt(math.pi) / k * math.erf(k / 2) if k else 1.0
        return math.sqrt(self.noise) * along

    def texture_share(self, shape: tuple[int, int]) -> np.ndarray:
        """Wiener's filter (1949) that leaves the texture of pixels: (h, w // 2 + 1), 0..1, for `scipy.fft.rfft2`."""
        f, place, part = _between(*shape)
        texture = self.amplitude * f**-self.exponent * np.exp(-np.square(2 * np.pi * f * self.sigma))
        noise = self.noise * np.exp(-np.square(2 * np.pi * f * self.tau)) + 1 / 12
        at = (texture / (texture + noise)).astype(np.float32)
        share: np.ndarray = at[place] + part * np.diff(at)[place]
        return share


@lru_cache(8)
def _frequencies(h: int, w: int) -> np.ndarray:
    """Cycles per px of each value of `scipy.fft.rfft2`."""
    frequencies: np.ndarray = np.hypot(fft.fftfreq(h)[:, None], fft.rfftfreq(w)[None, :])
    return frequencies


@lru_cache(8)
def _between(h: int, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some frequencies, and between which two of them each value of `scipy.fft.rfft2` lies, and where, 0..1."""
    f, wanted = np.linspace(0.5 / max(h, w), 0.71, 500), _frequencies(h, w)
    place = np.clip(np.searchsorted(f, wanted, "right") - 1, 0, len(f) - 2)
    part = np.clip((wanted - f[place]) / (f[1] - f[0]), 0, 1)
    return f, place, part.astype(np.float32)


def spectrum_of(window: np.ndarray) -> Spectrum:
    """Measure pixels.

    Args:
        window: (h, w) grey levels.
    """
    f, power, weight = _radial(window)
    top, high = (float(np.average(values[-4:], weights=weight[-4:])) for values in (power, f))
    # Axes of the arrays: noise, tau, sigma, exponent, frequency.
    colour = np.exp(np.square(2 * np.pi * TAUS)[:, None] * (high**2 - f**2))
    noise = (FLOORS * top)[:, None, None, None, None] * colour[:, None, None, :]
    blur = np.exp(-np.square(2 * np.pi * f * SIGMAS[:, None]))
    shape = blur[:, None] * f ** -EXPONENTS[:, None]
    # The amplitude by weighted least squares; the scatter of a power is proportional to the power.
    w = weight / np.square(np.maximum(_smoothed(power), 1e-6))
    amplitude = (w * shape * power).sum(-1) - np.einsum("ntf,sef->ntse", noise[:, :, 0, 0], w * shape)
    amplitude = np.maximum(amplitude / (w * shape**2).sum(-1), 1e-12)
    single = np.float32  # half the time, and more digits than a spectrum has
    model = amplitude[..., None].astype(single) * shape.astype(single) + (noise + 1e-3).astype(single)
    fit = (np.log(model) + power.astype(single) / model) @ weight.astype(single)
    posterior = -TAPERED * fit.astype(float)
    posterior -= np.square(np.log(SIGMAS / USUAL_SIGMA) / SPREAD)[:, None] / 2
    posterior -= np.square((EXPONENTS - USUAL_EXPONENT) / EXPONENT_SPREAD) / 2
    best = np.unravel_index(int(posterior.argmax()), posterior.shape)
    of_sigma = np.exp(posterior - posterior.max()).sum((0, 1, 3))
    sigma = float(np.exp((of_sigma * np.log(SIGMAS)).sum() / of_sigma.sum()))
    level = float(FLOORS[best[0]] * top * np.exp(np.square(2 * np.pi * TAUS[best[1]] * high)))
    return Spectrum(sigma, float(EXPONENTS[best[3]]), float(amplitude[best]), level, float(TAUS[best[1]]))


def _radial(window: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies in cycles per px, mean power there, and how many values it is the mean of; (k,) each."""
    h, w = window.shape
    place, f, count, taper, norm = _rings(h, w)
    ground = window.astype(np.float32) - np.float32(np.vdot(window, taper) / taper.sum())
    transform = fft.rfft2(ground * taper)
    power = (np.square(transform.real) + np.square(transform.imag)) / np.float32(norm)
    mean = np.bincount(place.ravel(), power.ravel(), len(f) + 1)[1:] / count
    return f, mean, count


@lru_cache(8)
def _rings(h: int, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    taper = (np.hanning(h + 2)[1:-1, None] * np.hanning(w + 2)[None, 1:-1]).astype(np.float32)
    far = _frequencies(h, w)
    edges = np.geomspace(2.5 / min(h, w), HIGHEST, BINS + 1)
    place = np.searchsorted(edges, far.ravel(), "right")
    place[place > BINS] = 0
    count = np.bincount(place, minlength=BINS + 1)[1:]
    mean_f = np.bincount(place, far.ravel(), BINS + 1)[1:]
    some = np.flatnonzero(count)
    number = np.zeros(BINS + 1, int)
    number[some + 1] = np.arange(1, len(some) + 1)
    return number[place], mean_f[some] / count[some], count[some].astype(float), taper, float(np.square(taper).sum())


def _smoothed(power: np.ndarray) -> np.ndarray:
    logs = np.pad(np.log(np.maximum(power, 1e-6)), 1, mode="edge")
    smooth: np.ndarray = np.exp((logs[:-2] + logs[1:-1] + logs[2:]) / 3)
    return smooth
