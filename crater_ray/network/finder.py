"""The finder: a fully convolutional network that gives, every 4 px, whether a crater is centred there and how large.

Pixels are first compared with their surroundings (local contrast normalisation), so that one foil's brightness is not
another's evidence. Features at strides 2, 4, 8 and 16 then come together again at stride 4, where a crater's own detail
and what lies around it are both known. A finder with a second view looks at the image at half its size as well, by the
same convolutions: what is large or blurred there is as small and sharp as what it knows best. Only Keras operations are
used: the same code builds on TensorFlow, JAX and PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

ARCHITECTURE = "finder-1"
STRIDE = 4
"""Pixels from one position of the maps to the next."""
COARSEST = 16
"""Heights and widths are filled up to multiples of this, for each view; see `multiple`."""
OUTPUTS = 4
"""Per position: the logit of a crater's centre, the logarithm of its diameter over 8 px, and how far to the right and
down of the position's middle its centre lies, in strides."""
BASE_DIAMETER = 8.0
Widths = tuple[int, int, int, int]
WIDTHS: Widths = (16, 32, 64, 64)
"""Filters of the convolutions at strides 2, 4, 8 and 16."""
CELL = 8
NEIGHBOURHOOD = 9
"""Cells of so many px, and how many of them each way are the surroundings of a pixel: their mean and deviation are what
it is compared with."""
FLOOR = 2.0
"""Grey levels added to the deviation: what differs by less in a flat area is no contrast."""
CLIP = 6.0
SCORE = "maps/score"
"""The name of five more numbers, (5,), that make scores of a finder's logits: `share`, `slope`, `offset`, `knee` and
`gain`; see `compared` and `on_scale`. The logits of a network without them are its scores'."""
VIEW = "maps/half"
"""The name of one more number, (1,): the finder has a second view, of the image at half its size, and this is added to
the logits that it gives there. A network without it has one view."""
SETTINGS = (SCORE, VIEW)
"""What is no parameter of the network."""


@dataclass(frozen=True)
class Convolution:
    """One convolution of the finder.

    Attributes:
        name: of its layer and its weights.
        size: of its kernel.
        stride: in positions of its input.
        inputs, filters: channels.
        active: whether a ReLU follows.
    """

    name: str
    size: int
    stride: int
    inputs: int
    filters: int
    active: bool = True


def layer_table(widths: Sequence[int] = WIDTHS) -> tuple[Convolution, ...]:
    """The convolutions in the order of their weights; `widths` as in `WIDTHS`."""
    a, b, c, d = widths
    return (
        Convolution("stem", 5, 2, 1, a),
        Convolution("half1", 3, 1, a, a),
        Convolution("down4", 3, 2, a, b),
        Convolution("quarter1", 3, 1, b, b),
        Convolution("quarter2", 3, 1, b, b),
        Convolution("down8", 3, 2, b, c),
        Convolution("eighth1", 3, 1, c, c),
        Convolution("eighth2", 3, 1, c, c),
        Convolution("down16", 3, 2, c, d),
        Convolution("sixteenth1", 3, 1, d, d),
        Convolution("sixteenth2", 3, 1, d, d),
        Convolution("up16", 1, 1, d, c, active=False),
        Convolution("eighth3", 3, 1, c, c),
        Convolution("up8", 1, 1, c, b, active=False),
        Convolution("quarter3", 3, 1, b, b),
        Convolution("quarter4", 3, 1, b, b),
        Convolution("maps", 1, 1, b, OUTPUTS, active=False),
    )


def widths_of(weights: Mapping[str, np.ndarray]) -> Widths:
    """The numbers of filters, as in `WIDTHS`, of a finder with these weights, which may have a `SCORE` and a `VIEW`.

    Raises:
        ValueError: a name is missing or superfluous, or a shape is not that of a finder.
    """
    stem, down4, down8, down16 = (len(weights.get(f"{name}/bias", ())) for name in ("stem", "down4", "down8", "down16"))
    widths = stem, down4, down8, down16
    expected: dict[str, tuple[int, ...]] = {}
    for layer in layer_table(widths):
        expected[f"{layer.name}/kernel"] = (layer.size, layer.size, layer.inputs, layer.filters)
        expected[f"{layer.name}/bias"] = (layer.filters,)
    expected |= {name: shape for name, shape in ((SCORE, (5,)), (VIEW, (1,))) if name in weights}
    wrong = sorted(set(expected) ^ set(weights))
    wrong += [name for name in expected if name in weights and weights[name].shape != expected[name]]
    if not all(widths) or wrong:
        raise ValueError(f"these are not the weights of {ARCHITECTURE}: {', '.join(wrong[:5]) or 'there are none'}")
    return widths


def compared(maps: Any, share: float) -> Any:
    """Maps (n, rows, columns, 4) of Keras with each centre compared with all positions of its view.

    `share` of the logarithm of their mean odds (each of at most 1) is taken off: a surface that looks a little like
    craters everywhere is no evidence.
    """
    from keras import ops

    logit = maps[..., :1]
    everywhere = ops.log(ops.mean(ops.exp(ops.minimum(logit, 0.0)), axis=(1, 2), keepdims=True))
    return ops.concatenate([logit - share * everywhere, maps[..., 1:]], axis=-1)


def on_scale(maps: Any, score: np.ndarray) -> Any:
    """Compared maps with logits whose probabilities are scores.

    The line `slope * logit + offset`, and `gain` times what that is above `knee`.
    """
    from keras import ops

    _, slope, offset, knee, gain = (float(value) for value in score)
    logit = slope * maps[..., :1] + offset
    logit = logit + gain * ops.relu(logit - knee)
    return ops.concatenate([logit, maps[..., 1:]], axis=-1)


def multiple(weights: Mapping[str, np.ndarray]) -> int:
    """Pixels of which heights and widths of the network's images are multiples."""
    return 2 * COARSEST if VIEW in weights else COARSEST


def filled_up(images: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Images (n, height, width), continued by their last rows and columns to the `multiple` of the network."""
    _, height, width = images.shape
    side = multiple(weights)
    if height % side == 0 and width % side == 0:
        return images
    return np.pad(images, ((0, 0), (0, -height % side), (0, -width % side)), mode="edge")


def multiply_adds(height: int, width: int, filters: Sequence[int] = WIDTHS, views: int = 2) -> int:
    """Multiply-adds of the convolutions for one image, seen once, or twice as a finder with a `VIEW` does."""
    scale = {"stem": 2, "half1": 2, "down4": 4, "down8": 8, "down16": 16, "up16": 16, "up8": 8, "maps": 4}
    total = 0.0
    for layer in layer_table(filters):
        stride = scale.get(layer.name) or {"quarter": 4, "eighth": 8, "sixteenth": 16}[layer.name.rstrip("1234")]
        total += height * width / stride**2 * layer.size**2 * layer.inputs * layer.filters
    return int(total * (1.25 if views > 1 else 1))


def build(
    widths: Sequence[int] = WIDTHS,
    *,
    dtype: str = "float32",
    normalization: Callable[..., keras.layers.Layer] | None = None,
    score: np.ndarray | None = None,
    view: float | None = None,
) -> keras.Model:
    """Build the finder with fresh weights.

    Args:
        widths: filters, as in `WIDTHS`.
        dtype: Keras policy of the convolutions. Contrast and maps are float32 in any case.
        normalization: layer put behind each active convolution for training, as `keras.layers.BatchNormalization`.
        score: (5,) as `SCORE` says.
        view: as `VIEW` says; None for one view.

    Returns:
        A Keras model from raw images (n, height, width, 1), uint8 or float, height and width multiples of 16 (of 32
        with two views), to a dictionary of `maps` (n, height / 4, width / 4, 4) float32; see `OUTPUTS`.
    """
    import keras
    from keras import layers

    from crater_ray.network.second_view import half_size, together_layer

    images = keras.Input((None, None, 1), name="images")
    contrast = _contrast_layer()(name="contrast", dtype="float32")
    made: dict[str, list[Any]] = {}
    for layer in layer_table(widths):
        policy = "float32" if layer.name == "maps" else dtype
        made[layer.name] = [
            layers.Conv2D(
                layer.filters,
                layer.size,
                layer.stride,
                padding="same",
                use_bias=not (normalization and layer.active),
                kernel_initializer="he_normal",
                name=layer.name,
                dtype=policy,
            )
        ]
        if layer.active and normalization:
            made[layer.name].append(normalization(momentum=0.98, name=f"{layer.name}_norm", dtype=policy))
        if layer.active:
            made[layer.name].append(layers.ReLU(name=f"{layer.name}_relu", dtype=policy))

    def convolve(x: Any, *names: str) -> Any:
        for name in names:
            for step in made[name]:
                x = step(x)
        return x

    def joined(coarse: Any, fine: Any) -> Any:
        x = layers.UpSampling2D(2, interpolation="nearest", dtype=dtype)(coarse)
        return layers.Add(dtype=dtype)([x, fine])

    def maps_of(images: Any) -> Any:
        x = convolve(contrast(images), "stem", "half1")
        quarter = convolve(x, "down4", "quarter1", "quarter2")
        eighth = convolve(quarter, "down8", "eighth1", "eighth2")
        x = joined(convolve(eighth, "down16", "sixteenth1", "sixteenth2", "up16"), eighth)
        x = joined(convolve(x, "eighth3", "up8"), quarter)
        maps = convolve(x, "quarter3", "quarter4", "maps")
        return maps if score is None else compared(maps, float(score[0]))

    maps = maps_of(images)
    if view is not None:
        maps = together_layer(view)(maps, maps_of(half_size(images)))
    return keras.Model(images, {"maps": maps if score is None else on_scale(maps, score)}, name="finder")


def model_of(weights: Mapping[str, np.ndarray], *, dtype: str = "float32") -> keras.Model:
    """The Keras model with these weights, as `widths_of` takes them; see `build`."""
    view = float(weights[VIEW][0]) if VIEW in weights else None
    model = build(widths_of(weights), dtype=dtype, score=weights.get(SCORE), view=view)
    for layer in layer_table(widths_of(weights)):
        kernel, bias = model.get_layer(layer.name).weights
        kernel.assign(weights[f"{layer.name}/kernel"])
        bias.assign(weights[f"{layer.name}/bias"])
    return model


def _contrast_layer() -> Any:
    import keras
    from keras import ops

    # Linear interpolation as a transposed convolution: TensorFlow cannot resize to a size that is not known beforehand.
    ramp = 1 - np.abs(np.arange(2 * CELL) - (CELL - 0.5)) / CELL
    kernel = (ramp[:, None] * ramp[None, :])[:, :, None, None] * np.eye(2)

    def enlarged(cells: Any) -> Any:
        cells = ops.concatenate([cells[:, :1], cells, cells[:, -1:]], axis=1)
        cells = ops.concatenate([cells[:, :, :1], cells, cells[:, :, -1:]], axis=2)
        large = ops.conv_transpose(cells, ops.convert_to_tensor(kernel, "float32"), CELL, "valid")
        border = CELL + CELL // 2
        return large[:, border:-border, border:-border]

    class LocalContrast(keras.layers.Layer):  # type: ignore[misc]
        """Each pixel's difference from the mean of its surroundings, in their standard deviations, clipped.

        Mean and deviation are those of cells of 8 px, averaged over 9x9 of them and interpolated between.
        """

        def call(self, images: Any) -> Any:
            x = ops.cast(images, "float32")
            cells = ops.average_pool(x, CELL, CELL, "same")
            squares = ops.average_pool(ops.square(x), CELL, CELL, "same")
            mean = ops.average_pool(cells, NEIGHBOURHOOD, 1, "same")
            spread = ops.average_pool(squares, NEIGHBOURHOOD, 1, "same") - ops.square(mean)
            deviation = ops.sqrt(ops.maximum(spread, 0.0)) + FLOOR
            both = enlarged(ops.concatenate([mean, 1.0 / deviation], axis=-1))
            return ops.clip((x - both[..., :1]) * both[..., 1:], -CLIP, CLIP)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return LocalContrast


def __getattr__(name: str) -> Any:
    """The Keras layer is made when it is first asked for: importing this module needs no Keras."""
    if name == "LocalContrast":
        layer = _contrast_layer()
        globals()["LocalContrast"] = layer
        return layer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
