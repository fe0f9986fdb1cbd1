"""The network: 216,465 parameters, any image size, normalisation inside the graph.

Only Keras operations are used, so that the same code builds on TensorFlow, JAX and PyTorch.
The layer table is that of the Stardust interstellar foil search (FACTS of the field in docs/training.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from crater_ray.errors import UsageError

if TYPE_CHECKING:
    import keras

ARCHITECTURE = "stardust-216k"
PARAMETERS = 216_465
TILE = (384, 512)
"""Height and width in pixels of the images the network was trained on."""

CONVOLUTIONS: tuple[tuple[int, bool], ...] = (
    (64, False),
    (64, True),
    (64, False),
    (64, True),
    (64, False),
    (64, True),
    (32, True),
    (32, False),
)
"""Per 3x3 convolution: how many filters, and whether a 2x2 max-pool follows."""

FILTERS: tuple[int, ...] = tuple(filters for filters, _ in CONVOLUTIONS)

DENSE: tuple[int, ...] = (32, 32, 16, 16, 16, 16)
"""Units of the hidden dense layers; one sigmoid unit follows them."""

Preprocessing = Literal["minmax", "sigma-clip"]

Weights = dict[str, np.ndarray]
"""Arrays by name: `conv1/kernel` (3, 3, in, out), `conv1/bias` (out,), ..., `dense7/kernel`, `dense7/bias`."""


def _geometry() -> tuple[int, int]:
    field, jump = 1, 1
    for _, pooled in CONVOLUTIONS:
        field += 2 * jump
        if pooled:
            field += jump
            jump *= 2
    return field, jump


RECEPTIVE_FIELD, STRIDE = _geometry()
"""Pixels that one position of the last feature map sees (92), and pixels from one position to the next (16)."""


def feature_size(pixels: int) -> int:
    """How many positions of the last feature map fit along `pixels` of image (19 for 384, 27 for 512)."""
    size = pixels
    for _, pooled in CONVOLUTIONS:
        size -= 2
        if pooled:
            size //= 2
    return size


def build(
    preprocessing: Preprocessing = "minmax",
    *,
    evidence: bool = False,
    dtype: str = "float32",
    filters: Sequence[int] = FILTERS,
) -> keras.Model:
    """Build the network with fresh (He-normal) weights.

    Args:
        preprocessing: how raw pixels become network input; see `crater_ray.network.normalize`.
        evidence: also give what tells where the score comes from.
        dtype: Keras policy of the convolutions, such as `mixed_bfloat16`. Normalisation, the dense layers and all
            weights are float32 in any case.
        filters: of each convolution, where it is not the whole network; see `crater_ray.network.pruning`.

    Returns:
        A Keras model from raw images (n, height, width, 1), uint8 or float, height and width at least 92, to scores
        (n, 1) float32 in 0..1. With `evidence`, to a dictionary of `score` (n,), `peaks` (n, 32) float32, the
        global maximum of each feature, and `positions` (n, 32) int32, where it lies in the flattened last feature
        map of `feature_size(height) * feature_size(width)` positions.

    Raises:
        UsageError: the preprocessing has no such name.
    """
    import keras
    from keras import layers, ops

    from crater_ray.network.normalize import Normalize

    if preprocessing not in get_args(Preprocessing):
        raise UsageError(
            f"The preprocessing must be one of {', '.join(get_args(Preprocessing))}; received: {preprocessing!r}"
        )
    images = keras.Input((None, None, 1), dtype="uint8", name="images")
    x = Normalize(preprocessing, name="normalize", dtype=dtype)(images)
    for number, (count, (_, pooled)) in enumerate(zip(filters, CONVOLUTIONS, strict=True), start=1):
        x = layers.Conv2D(
            count, 3, activation="relu", kernel_initializer="he_normal", name=f"conv{number}", dtype=dtype
        )(x)
        if pooled:
            x = layers.MaxPooling2D(2, name=f"pool{number}", dtype=dtype)(x)
    features = x
    peaks = x = layers.GlobalMaxPooling2D(name="peaks", dtype=dtype)(x)
    for number, units in enumerate(DENSE, start=1):
        x = layers.Dense(
            units, activation="relu", kernel_initializer="he_normal", name=f"dense{number}", dtype="float32"
        )(x)
    score = layers.Dense(1, activation="sigmoid", name=f"dense{len(DENSE) + 1}", dtype="float32")(x)
    if not evidence:
        return keras.Model(images, score, name="crater_network")
    flat = layers.Reshape((-1, CONVOLUTIONS[-1][0]), name="flat", dtype=dtype)(features)
    positions = ops.cast(ops.argmax(flat, axis=1), "int32")
    outputs = {"score": score[:, 0], "peaks": ops.cast(peaks, "float32"), "positions": positions}
    return keras.Model(images, outputs, name="crater_network_with_evidence")


def unpooled(model: keras.Model) -> keras.Model:
    """The same model up to the global max-pool: from images to `features` (n, rows, columns, 32) float32."""
    import keras
    from keras import ops

    last = model.get_layer(f"conv{len(CONVOLUTIONS)}").output
    return keras.Model(model.inputs, {"features": ops.cast(last, "float32")}, name="crater_network_features")


def read_weights(model: keras.Model) -> Weights:
    """Copy the weights out of a model made by `build`, as float32 arrays by name."""
    named: Weights = {}
    for layer in model.layers:
        for variable, part in zip(layer.weights, ("kernel", "bias"), strict=False):
            named[f"{layer.name}/{part}"] = np.asarray(variable.numpy(), np.float32)
    return named


def apply_weights(model: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Put weights by name into a model made by `build`.

    Raises:
        UsageError: a name is missing or superfluous, or a shape differs.
    """
    expected = {
        f"{layer.name}/{part}": variable
        for layer in model.layers
        for variable, part in zip(layer.weights, ("kernel", "bias"), strict=False)
    }
    if set(expected) != set(weights):
        raise UsageError(
            "These weights are not of this network. "
            f"Missing: {sorted(set(expected) - set(weights)) or 'none'}; "
            f"unknown: {sorted(set(weights) - set(expected)) or 'none'}"
        )
    for name, variable in expected.items():
        if tuple(variable.shape) != weights[name].shape:
            raise UsageError(
                f"Weights {name!r} must have the shape {tuple(variable.shape)}; received: {weights[name].shape}"
            )
        variable.assign(weights[name])
