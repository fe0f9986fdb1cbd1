"""From signal to pixels: beam blur, unsteady scan lines, noise, the operator's brightness and contrast, eight bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from crater_ray.simulate.fields import blurred
from crater_ray.simulate.ranges import Ranges, happens, log_uniform, mostly_low, uniform


@dataclass(frozen=True)
class Camera:
    """One exposure; see the fields of `Ranges` with the same names.

    Attributes:
        sigma: px, the beam's geometric mean width.
        astigmatism: its long over its short axis.
        angle: radians, direction of the long axis.
        jitter: px rms of each scan line.
        flicker: rms relative brightness of single lines.
        electrons: detected per pixel of plain foil; infinite for an exposure without noise.
        noise_length: px, blur of the noise.
        brightness: grey level of plain foil.
        contrast: grey levels per unit of relative signal.
        gamma: exponent on the 0..1 grey scale.
        jpeg_quality: what the image is saved with.
    """

    sigma: float
    astigmatism: float
    angle: float
    jitter: float
    flicker: float
    electrons: float
    noise_length: float
    brightness: float
    contrast: float
    gamma: float
    jpeg_quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator, ranges: Ranges) -> Camera:
        """Draw one exposure."""
        contrast = log_uniform(rng, ranges.contrast)
        return cls(
            sigma=uniform(rng, ranges.defocus_sigma if happens(rng, ranges.defocus_chance) else ranges.beam_sigma),
            astigmatism=uniform(rng, ranges.astigmatism),
            angle=uniform(rng, (0, np.pi)),
            jitter=mostly_low(rng, ranges.line_jitter),
            flicker=mostly_low(rng, ranges.line_flicker),
            electrons=max(40.0, (contrast / log_uniform(rng, ranges.noise)) ** 2),
            noise_length=uniform(rng, ranges.noise_length),
            brightness=uniform(rng, ranges.brightness),
            contrast=contrast,
            gamma=uniform(rng, ranges.gamma),
            jpeg_quality=int(rng.integers(int(ranges.jpeg_quality[0]), int(ranges.jpeg_quality[1]) + 1)),
        )

    def expose(self, rng: np.random.Generator, signal: np.ndarray) -> np.ndarray:
        """Take the picture: (h, w) float32 signal, plain foil about 1, to (h, w) uint8."""
        shape = (signal.shape[0], signal.shape[1])
        stretch = float(np.sqrt(self.astigmatism))
        image = blurred(fft.rfft2(signal), self.sigma / stretch, self.sigma * stretch, self.angle, shape)
        image = self._jittered(rng, image)
        image = image * (1 + np.float32(self.flicker) * rng.standard_normal((shape[0], 1), np.float32))
        if np.isfinite(self.electrons):
            image = image + self._noise(rng, image)
        grey: np.ndarray = np.float32(self.brightness) + np.float32(self.contrast) * (image - 1)
        grey = np.clip(grey, 0, 255)
        if abs(self.gamma - 1) > 0.02:
            grey = 255 * (grey / 255) ** np.float32(self.gamma)
        return np.rint(grey).astype(np.uint8)

    def _jittered(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        shift = (self.jitter * rng.standard_normal((image.shape[0], 1), np.float32)).clip(-0.99, 0.99)
        to_left, to_right = np.maximum(-shift, 0), np.maximum(shift, 0)
        moved: np.ndarray = image * (1 - np.abs(shift))
        moved += np.roll(image, 1, 1) * to_right
        moved += np.roll(image, -1, 1) * to_left
        return moved

    def _noise(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        # Poisson in its Gaussian limit: at 40 electrons and more the difference is far below a grey level.
        noise: np.ndarray = rng.standard_normal(image.shape, np.float32)
        if self.noise_length > 0.2:
            soft = np.float32(self.noise_length / 2)
            noise = noise + soft * (np.roll(noise, 1, 1) + np.roll(noise, -1, 1))
            noise = noise + soft * (np.roll(noise, 1, 0) + np.roll(noise, -1, 0))
            noise /= 1 + 2 * soft * soft
        noise *= np.sqrt(np.maximum(image, np.float32(0.02)) / np.float32(self.electrons))
        return noise
