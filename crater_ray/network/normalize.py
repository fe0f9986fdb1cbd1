"""The first layer of the network: raw pixels to its input range, image by image, on the device."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="crater_ray")
class Normalize(keras.layers.Layer):  # type: ignore[misc]
    """Normalise each image by its own pixels, so that bytes rather than floats travel to the device.

    Args:
        preprocessing: `minmax` maps each image's minimum and maximum to 0 and 1, as the original network did.
            `sigma-clip` subtracts the mean and divides by three standard deviations, both taken a second time
            over the pixels within three deviations of the first, and limits the result to -2..4: one bright
            grain then no longer darkens the rest of its image.

    Input: (n, height, width, 1) raw pixel values of any dtype. Output: the same shape, in the compute dtype.
    """

    def __init__(self, preprocessing: str, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.preprocessing = preprocessing

    def call(self, images: Any) -> Any:
        x = ops.cast(images, "float32")
        normalised = _minmax(x) if self.preprocessing == "minmax" else sigma_clipped(x, x)
        return ops.cast(normalised, self.compute_dtype)

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        return keras.KerasTensor(images.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preprocessing": self.preprocessing}


PIXELS = (1, 2, 3)


def _minmax(x: Any) -> Any:
    low = ops.min(x, axis=PIXELS, keepdims=True)
    high = ops.max(x, axis=PIXELS, keepdims=True)
    return (x - low) / ops.maximum(high - low, 1.0)


def sigma_clipped(x: Any, some: Any) -> Any:
    """Images normalised as `sigma-clip` says.

    Args:
        x: (n, height, width, 1) float32 pixels.
        some: those of them that mean and deviation are taken from.
    """
    mean = ops.mean(some, axis=PIXELS, keepdims=True)
    deviation = ops.sqrt(ops.mean(ops.square(some - mean), axis=PIXELS, keepdims=True))
    kept = ops.cast(ops.abs(some - mean) <= 3.0 * deviation, "float32")
    count = ops.maximum(ops.sum(kept, axis=PIXELS, keepdims=True), 1.0)
    mean = ops.sum(some * kept, axis=PIXELS, keepdims=True) / count
    deviation = ops.sqrt(ops.sum(ops.square(some - mean) * kept, axis=PIXELS, keepdims=True) / count)
    return ops.clip((x - mean) / ops.maximum(3.0 * deviation, 1.0), -2.0, 4.0)
