"""The finder's second view: the image at half its size, and what both views say of each position."""

from __future__ import annotations

from typing import Any

import numpy as np

TWICE = float(np.log(2.0))
"""By which the logarithm of a diameter is larger in the image than in its half."""


def half_size(images: Any) -> Any:
    """Images (n, height, width, 1) of Keras, uint8 or float, to (n, height / 2, width / 2, 1) float32: means of 2x2."""
    from keras import ops

    return ops.average_pool(ops.cast(images, "float32"), 2, 2, "valid")


def together_layer(added: float) -> Any:
    """`together` as a Keras layer, which knows the size of what it gives."""
    import keras

    class Together(keras.layers.Layer):  # type: ignore[misc]
        """The maps of both views as one."""

        def call(self, maps: Any, half: Any) -> Any:
            return together(maps, half, added)

        def compute_output_shape(self, maps_shape: Any, half_shape: Any) -> Any:
            return maps_shape

    return Together(name="together", dtype="float32")


def together(maps: Any, half: Any, added: float) -> Any:
    """The maps of both views as one, by Keras.

    A crater is there if one view or the other sees it: odds are added. Place and diameter are those of the view that
    sees more.

    Args:
        maps: (n, rows, columns, 4) float32 of the image, as `crater_ray.network.finder.OUTPUTS` says.
        half: (n, rows / 2, columns / 2, 4) float32 of the image at half its size.
        added: to the logits of `half`.
    """
    from keras import ops

    half = enlarged(half)
    logit, second = maps[..., :1], half[..., :1] + added
    both = ops.logaddexp(logit, second)
    return ops.concatenate([both, ops.where(second > logit, half[..., 1:], maps[..., 1:])], axis=-1)


def enlarged(half: Any) -> Any:
    """Maps of an image at half its size, (n, rows, columns, 4), as maps of the image, (n, 2 rows, 2 columns, 4).

    Each position becomes four: with the same logit and the same centre, to which it is half a stride more or less from
    their middles than from its own.
    """
    from keras import ops

    x = ops.concatenate([half[..., :1], half[..., 1:2] + TWICE, 2 * half[..., 2:]], axis=-1)
    columns = [x + ops.convert_to_tensor(np.array([0, 0, shift, 0], np.float32)) for shift in (0.5, -0.5)]
    x = _interleaved(columns, 2)
    rows = [x + ops.convert_to_tensor(np.array([0, 0, 0, shift], np.float32)) for shift in (0.5, -0.5)]
    return _interleaved(rows, 1)


def _interleaved(pair: list[Any], axis: int) -> Any:
    """The positions of two maps in turns along an axis."""
    from keras import ops

    _, rows, columns, channels = ops.shape(pair[0])
    rows, columns = (2 * rows if axis == 1 else rows), (2 * columns if axis == 2 else columns)
    return ops.reshape(ops.stack(pair, axis=axis + 1), (-1, rows, columns, channels))
