"""The network as it is trained: with batch normalisation, dropout and more outputs, none of which ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.network.stardust import CONVOLUTIONS, DENSE, FILTERS, RECEPTIVE_FIELD, STRIDE, feature_size
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
"""What batch normalisation adds to the variance."""

HARDEST = 4
"""Of so many blank positions of each image, those most like craters, the mean loss counts as much as that of all."""


def build_trainable(
    recipe: Recipe,
    *,
    batch_norm: bool,
    dtype: str = "float32",
    filters: Sequence[int] = FILTERS,
    with_teacher: bool = False,
) -> keras.Model:
    """Build the network for training, with fresh weights.

    Args:
        recipe: says which normalisation, dropout and regularisation it gets.
        batch_norm: normalise activations. It stands behind the max-pool, where it costs a quarter, and its scale is
            kept from becoming negative: a rising map may be moved in front of a maximum, so that the fold is exact.
        dtype: Keras policy of the layers, such as `mixed_bfloat16`. Weights are float32 in any case.
        filters: of each convolution; fewer for a network that is pruned.
        with_teacher: also give the outputs that a teacher speaks of.

    Returns:
        A model from uint8 images (n, h, w, 1) to logits: `score` (n, 1), of the image; `local` (n, rows, columns, 1),
        what the score would be if the image were no more than what that position of the last feature map sees; and
        `map`, of the same shape, by one layer of its own, through which the convolutions learn before the dense
        layers do. With a teacher also `features` (n, rows, columns, 32), the last feature map, and `answers`
        (n, rows * columns + 1), what `local` and `score` hold.
    """
    import keras
    from keras import layers

    from crater_ray.network.normalize import Normalize

    learning = recipe.learning
    images = keras.Input((None, None, 1), dtype="uint8", name="images")
    x = Normalize(learning.preprocessing, name="normalize", dtype=dtype)(images)
    decay = keras.regularizers.L2(learning.l2) if learning.l2 else None
    for number, (count, (_, pooled)) in enumerate(zip(filters, CONVOLUTIONS, strict=True), start=1):
        normalised = batch_norm and is_normalised(number)
        x = layers.Conv2D(
            count,
            3,
            activation=None if normalised else "relu",
            kernel_initializer="he_normal",
            kernel_regularizer=decay,
            name=f"conv{number}",
            dtype=dtype,
        )(x)
        if learning.spatial_dropout:
            x = layers.SpatialDropout2D(learning.spatial_dropout, name=f"spatial_dropout{number}", dtype=dtype)(x)
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
    features = x
    where = layers.Conv2D(1, 1, name="map", dtype="float32")(x)
    # The same dense layers answer for the whole image and for each position: one image of 384 x 512 px teaches them
    # as 513 images of 92 x 92 px would, at a sixth of the cost.
    peaks, local = layers.GlobalMaxPooling2D(name="peaks", dtype=dtype)(x), x
    for number, units in enumerate(DENSE, start=1):
        dense = layers.Dense(
            units, activation="relu", kernel_initializer="he_normal", name=f"dense{number}", dtype=dtype
        )
        peaks, local = dense(peaks), dense(local)
        if learning.dense_dropout:
            peaks = layers.Dropout(learning.dense_dropout, name=f"dropout{number}", dtype=dtype)(peaks)
    last = layers.Dense(1, name=f"dense{len(DENSE) + 1}", dtype="float32")
    outputs = {"score": last(peaks), "local": last(local), "map": where}
    if with_teacher:
        flat = layers.Reshape((-1,), name="flat", dtype="float32")(outputs["local"])
        outputs["answers"] = layers.Concatenate(name="answers", dtype="float32")([flat, outputs["score"]])
        outputs["features"] = layers.Activation("linear", name="features", dtype="float32")(features)
    return keras.Model(images, outputs, name="trainable_crater_network")


def is_normalised(number: int) -> bool:
    """Whether convolution `number`, counted from 1, is followed by batch normalisation: if pooled, or last."""
    return CONVOLUTIONS[number - 1][1] or number == len(CONVOLUTIONS)


def losses(recipe: Recipe) -> dict[str, Any]:
    """The loss of each output: the score, blanks weighted; and both maps. What is negative in truth is ignored."""
    from keras import ops

    def score_loss(truth: Any, logit: Any) -> Any:
        known = ops.cast(truth > -0.5, "float32")
        weight = ops.where(truth > 0.5, 1.0, recipe.learning.blank_weight) * known
        # Divided by the images, not by their weights, as class weights are in Keras: L2 then counts as much as there.
        return ops.sum(weight * _cross_entropy(ops.maximum(truth, 0.0), logit)) / ops.maximum(ops.sum(known), 1.0)

    def map_loss(truth: Any, logit: Any) -> Any:
        entropy = _cross_entropy(ops.maximum(truth, 0.0), logit)
        positive, negative = ops.cast(truth > 0.5, "float32"), ops.cast(ops.abs(truth) < 0.5, "float32")
        # Few positions hold a crater: craters and blanks are averaged apart, or blanks would drown them. Of the blank
        # ones most are empty, and the few that are mistaken for craters would drown in turn: they count again.
        size = ops.shape(truth)[1] * ops.shape(truth)[2]
        flat = ops.pad(ops.reshape(entropy * negative, (-1, size)), ((0, 0), (0, HARDEST)))
        hardest = ops.top_k(flat, k=HARDEST)[0]
        wrong, empty = ops.sum(hardest), ops.sum(entropy * negative)
        taken = ops.sum(ops.minimum(ops.sum(negative, axis=(1, 2, 3)), HARDEST))
        return 0.5 * ops.sum(entropy * positive) / ops.maximum(ops.sum(positive), 1.0) + 0.25 * (
            empty / ops.maximum(ops.sum(negative), 1.0) + wrong / ops.maximum(taken, 1.0)
        )

    return {"score": score_loss, "local": map_loss, "map": map_loss}


def _cross_entropy(truth: Any, logit: Any) -> Any:
    from keras import ops

    return ops.maximum(logit, 0.0) - logit * truth + ops.log1p(ops.exp(-ops.abs(logit)))


def position_targets(shape: tuple[int, int], craters: Sequence[np.ndarray]) -> np.ndarray:
    """What the map should say at each position of the last feature map.

    Args:
        shape: height and width of the images in pixels.
        craters: of each image, (k, 4) of x, y, diameter in pixels, and 1 if visible or else 0; NaN where the place is
            not known.

    Returns:
        float32 (n, rows, columns, 1): 1 at the position nearest to a visible crater and those within half a stride, 0
        where the field of view holds nothing of any crater, -1 (ignored) between, around craters that cannot be seen,
        and everywhere in an image with a crater of unknown place.
    """
    centres = [(RECEPTIVE_FIELD - 1) / 2.0 + STRIDE * np.arange(feature_size(length)) for length in shape]
    targets = np.zeros((len(craters), len(centres[0]), len(centres[1]), 1), np.float32)
    for target, found in zip(targets[..., 0], craters, strict=True):
        marks = []
        for x, y, diameter, visible in found:
            if np.isnan(x):
                target[:] = -1.0
                continue
            off_y, off_x = np.abs(centres[0] - y), np.abs(centres[1] - x)
            reach = RECEPTIVE_FIELD / 2.0 + diameter / 2.0
            target[np.ix_(off_y < reach, off_x < reach)] = -1.0
            inside = all(
                diameter / 2 <= centre <= length - 1 - diameter / 2
                for centre, length in zip((y, x), shape, strict=True)
            )
            if visible and inside:
                marks.append(np.ix_(*(off <= max(off.min(), STRIDE / 2) for off in (off_y, off_x))))
        for mark in marks:
            target[mark] = 1.0
    return targets
