"""The network as it is trained: with batch normalisation, dropout and a second output, none of which ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.network import CONVOLUTIONS, DENSE, RECEPTIVE_FIELD, STRIDE, feature_size
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
"""What batch normalisation adds to the variance."""


def build_trainable(recipe: Recipe, *, batch_norm: bool, dtype: str = "float32") -> keras.Model:
    """Build the network for training, with fresh weights.

    Args:
        recipe: says which normalisation, dropout and regularisation it gets.
        batch_norm: normalise activations. It stands behind the max-pool, where it costs a quarter, and its scale is
            kept from becoming negative: a rising map may be moved in front of a maximum, so that the fold is exact.
        dtype: Keras policy of the layers, such as `mixed_bfloat16`. Weights are float32 in any case.

    Returns:
        A model from uint8 images (n, h, w, 1) to `score` (n, 1), a logit, and `map` (n, rows, columns, 1), a logit
        at each position of the last feature map.
    """
    import keras
    from keras import layers

    from crater_ray.normalize import Normalize

    images = keras.Input((None, None, 1), dtype="uint8", name="images")
    x = Normalize(recipe.preprocessing, name="normalize", dtype=dtype)(images)
    decay = keras.regularizers.L2(recipe.l2) if recipe.l2 else None
    for number, (filters, pooled) in enumerate(CONVOLUTIONS, start=1):
        normalised = batch_norm and is_normalised(number)
        x = layers.Conv2D(
            filters,
            3,
            activation=None if normalised else "relu",
            kernel_initializer="he_normal",
            kernel_regularizer=decay,
            name=f"conv{number}",
            dtype=dtype,
        )(x)
        if recipe.spatial_dropout:
            x = layers.SpatialDropout2D(recipe.spatial_dropout, name=f"spatial_dropout{number}", dtype=dtype)(x)
        if pooled:
            x = layers.MaxPooling2D(2, name=f"pool{number}", dtype=dtype)(x)
        if normalised:
            x = layers.BatchNormalization(
                momentum=0.97,
                epsilon=EPSILON,
                gamma_constraint=keras.constraints.NonNeg(),
                name=f"norm{number}",
                dtype=dtype,
            )(x)
            x = layers.ReLU(name=f"relu{number}", dtype=dtype)(x)
    where = layers.Conv2D(1, 1, name="map", dtype="float32")(x)
    x = layers.GlobalMaxPooling2D(name="peaks", dtype=dtype)(x)
    for number, units in enumerate(DENSE, start=1):
        x = layers.Dense(units, activation="relu", kernel_initializer="he_normal", name=f"dense{number}", dtype=dtype)(
            x
        )
        if recipe.dense_dropout:
            x = layers.Dropout(recipe.dense_dropout, name=f"dropout{number}", dtype=dtype)(x)
    score = layers.Dense(1, name=f"dense{len(DENSE) + 1}", dtype="float32")(x)
    return keras.Model(images, {"score": score, "map": where}, name="trainable_crater_network")


def is_normalised(number: int) -> bool:
    """Whether convolution `number`, counted from 1, is followed by batch normalisation: if pooled, or last."""
    return CONVOLUTIONS[number - 1][1] or number == len(CONVOLUTIONS)


def losses(recipe: Recipe) -> dict[str, Any]:
    """The two loss functions: of the score, blanks weighted; and of the map, where ignored positions are negative."""
    from keras import ops

    def score_loss(truth: Any, logit: Any) -> Any:
        weight = ops.where(truth > 0.5, 1.0, recipe.blank_weight)
        return ops.sum(weight * _cross_entropy(truth, logit)) / ops.sum(weight)

    def map_loss(truth: Any, logit: Any) -> Any:
        entropy = _cross_entropy(ops.maximum(truth, 0.0), logit)
        positive, negative = ops.cast(truth > 0.5, "float32"), ops.cast(ops.abs(truth) < 0.5, "float32")
        # Few positions hold a crater: craters and blanks are averaged apart, or blanks would drown them.
        return 0.5 * (
            ops.sum(entropy * positive) / ops.maximum(ops.sum(positive), 1.0)
            + ops.sum(entropy * negative) / ops.maximum(ops.sum(negative), 1.0)
        )

    return {"score": score_loss, "map": map_loss}


def _cross_entropy(truth: Any, logit: Any) -> Any:
    from keras import ops

    return ops.maximum(logit, 0.0) - logit * truth + ops.log1p(ops.exp(-ops.abs(logit)))


def position_targets(
    shape: tuple[int, int], label: np.ndarray, x: np.ndarray, y: np.ndarray, diameter: np.ndarray
) -> np.ndarray:
    """What the map should say at each position of the last feature map.

    Args:
        shape: height and width of the images in pixels.
        label: 1 with a crater and 0 without, (n,).
        x, y: centre of the crater in pixels, (n,), NaN where there is none or where it is not known.
        diameter: in pixels, (n,).

    Returns:
        float32 (n, rows, columns, 1): 1 at the position nearest to the crater and those within half a stride, 0 where
        the field of view holds nothing of it, -1 (ignored) between and wherever the crater's place is not known.
    """
    first, last = (RECEPTIVE_FIELD - 1) / 2.0, np.asarray([feature_size(length) for length in shape]) - 1
    targets = np.zeros((len(x), last[0] + 1, last[1] + 1, 1), np.float32)
    targets[(label > 0.5) & ~np.isfinite(x)] = -1.0
    for index in np.flatnonzero(np.isfinite(x)):
        off_y = np.abs(first + STRIDE * np.arange(last[0] + 1) - y[index])
        off_x = np.abs(first + STRIDE * np.arange(last[1] + 1) - x[index])
        reach = RECEPTIVE_FIELD / 2.0 + diameter[index] / 2.0
        seen = (off_y[:, None] < reach) & (off_x[None, :] < reach)
        near = (off_y[:, None] <= max(off_y.min(), STRIDE / 2)) & (off_x[None, :] <= max(off_x.min(), STRIDE / 2))
        targets[index, ..., 0] = np.where(near, 1.0, np.where(seen, -1.0, 0.0))
    return targets
