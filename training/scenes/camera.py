"""From a scene to an 8-bit file: beam, counting noise, unsteady lines, resampling, later blur, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4, cv2.INTER_AREA)


@dataclass(frozen=True)
class Camera:
    """How one image is taken.

    Attributes:
        beam: blur before noise, sigma in px of the scene along both axes.
        noise: sigma in grey levels at brightness 120; it grows with the square root of the brightness.
        lines: sigma in grey levels of each scan line's brightness.
        scale: the finished image over the scene, by resampling.
        later_blur: sigma in px of a blur after noise and resampling; 0 for none.
        quality: of JPEG; None for none.
        interpolation: of the resampling.
    """

    beam: tuple[float, float]
    noise: float
    lines: float
    scale: float
    later_blur: float
    quality: int | None
    interpolation: int

    @staticmethod
    def draw(rng: np.random.Generator) -> Camera:
        """Draw one: in focus or not, quiet or noisy, some images resampled or blurred after they were taken."""
        chance = rng.random()
        beam = (
            rng.uniform(0.3, 1.2)
            if chance < 0.65
            else rng.uniform(0.0, 0.4)
            if chance < 0.75
            else rng.uniform(1.2, 3.0)
        )
        uneven = np.exp(rng.normal(0, 0.15))
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(2.5)))) if rng.random() < 0.5 else 1.0
        return Camera(
            beam=(beam * uneven, beam / uneven),
            noise=float(np.exp(rng.uniform(np.log(0.7), np.log(14.0)))),
            lines=float(rng.uniform(0, 1.5)) if rng.random() < 0.2 else 0.0,
            scale=scale,
            later_blur=float(rng.uniform(0.3, 2.5)) if rng.random() < 0.2 else 0.0,
            quality=int(rng.integers(65, 97)) if rng.random() < 0.85 else None,
            interpolation=int(INTERPOLATIONS[int(rng.integers(len(INTERPOLATIONS)))]),
        )

    def blur(self, scene: np.ndarray) -> np.ndarray:
        """What the beam makes of a part of the scene, float32."""
        if max(self.beam) < 0.15:
            return scene
        return np.asarray(cv2.GaussianBlur(scene, (0, 0), sigmaX=self.beam[0], sigmaY=self.beam[1]))

    def take(self, rng: np.random.Generator, scene: np.ndarray, size: int) -> np.ndarray:
        """The image (size, size) uint8 of a scene that the beam has blurred already."""
        side = scene.shape[0]
        noise = rng.standard_normal(scene.shape, np.float32)
        image = scene + noise * np.sqrt(np.maximum(scene, 8.0) * np.float32(self.noise**2 / 120))
        if self.lines:
            image = image + rng.standard_normal((side, 1), np.float32) * np.float32(self.lines)
        if self.scale != 1.0:
            image = cv2.resize(np.clip(image, 0, 255), (size, size), interpolation=self.interpolation)
        if self.later_blur:
            image = cv2.GaussianBlur(image, (0, 0), self.later_blur)
        pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        if self.quality is not None:
            _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            pixels = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        return np.asarray(pixels)
