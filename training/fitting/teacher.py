"""The teacher of a fit: a bundle that says what it makes of training images, position by position, beside the truth.

Source of the ideas: the student learns the teacher's last feature map (Romero et al. 2014, arXiv 1412.6550) and its
answers (Hinton, Vinyals, Dean 2015, arXiv 1503.02531), here at every position of that map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import Weights
from training.data_sets.batches import UNKNOWN
from training.distillation.answers import feature_map
from training.distillation.loss import LEAST, answer_costs, feature_costs
from training.distillation.screen_weights import screen_feature_map, units
from training.network.scoring import dense_logits, to_logit

TAUGHT = ("features", "answers")
"""Outputs of which a teacher speaks; of the others the truth."""
IGNORED = -1e6
"""Target of such an output where only the truth counts."""


class Teacher:
    """A bundle that says of training images what it makes of them.

    Args:
        bundle: the network.
        dtype: Keras policy of its convolutions.
        images: uint8 (n, h, w, 1), such as will be trained on: the spread of its features is measured on them.
        screen_share: share of the bundle's screen in what is taught of images of its size. A network that learns
            from the mean of both should call fewer images candidates of which the screen sees little.

    Raises:
        UsageError: the bundle has no screen to take a share of, or one for images of another size.
    """

    def __init__(self, bundle: Bundle, dtype: str, images: np.ndarray, screen_share: float = 0.0) -> None:
        from crater_ray.engines.keras_screen import build_screen

        self.bundle, self._share = bundle, screen_share
        self._body = feature_map(bundle, dtype)
        features = np.asarray(self._body.predict_on_batch(images))
        self._scale = features.std(axis=(0, 1, 2)) + 1e-3
        if not screen_share:
            return
        screen, size = bundle.screen, images.shape[1:3]
        if screen is None or screen.size != size:
            raise UsageError(
                f"The teacher {bundle.name!r} has no screen for images of {size[0]}x{size[1]} pixels to take a share "
                "of. Make one with `python -m training distill`, or give no --screen-share."
            )
        self._small = screen_feature_map(build_screen(screen.weights, dtype))
        self._units = units(np.asarray(self._small.predict_on_batch(images)), features)

    def targets(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """What it makes of uint8 images (n, h, w, 1): the outputs `features` and `answers` of `build_trainable`."""
        features = np.asarray(self._body.predict_on_batch(images), np.float32)
        answers = _answers(features, self.bundle.weights)
        screen = self.bundle.screen
        if self._share and screen is not None and images.shape[1:3] == screen.size:
            drawn = np.asarray(self._small.predict_on_batch(images), np.float32)
            answers += self._share * (_answers(drawn, screen.weights) - answers)
            features += self._share * (drawn * self._units - features)
        return {"features": features, "answers": answers}

    def losses(self) -> dict[str, Any]:
        """The losses of `features` and `answers`."""
        from keras import ops

        scale, cut = self._scale.astype(np.float32), float(to_logit(self.bundle.typical_threshold))

        def mean(costs: Any, truth: Any) -> Any:
            return ops.mean(ops.where(truth > 0.5 * IGNORED, costs, 0.0))

        def feature_loss(truth: Any, said: Any) -> Any:
            return mean(feature_costs(truth / scale, said / scale), truth)

        def answer_loss(truth: Any, said: Any) -> Any:
            costs = answer_costs(truth, said, cut)
            # Of an image's answers only the last is that of the whole.
            return 0.5 / LEAST * mean(costs[:, :-1], truth[:, :-1]) + mean(costs[:, -1], truth[:, -1])

        return {"features": feature_loss, "answers": answer_loss}


def only_where_judged(targets: dict[str, np.ndarray], judged: np.ndarray) -> dict[str, np.ndarray]:
    """The truth for images that were judged, (n,) bool, and for the others only what a teacher says of them."""
    chosen = {}
    for name, target in targets.items():
        chosen[name] = target.copy()
        if name in TAUGHT:
            chosen[name][judged] = IGNORED
        else:
            chosen[name][~judged] = UNKNOWN
    return chosen


def _answers(features: np.ndarray, weights: Weights) -> np.ndarray:
    """The dense layers at every position of a map (n, rows, columns, 32), and for all together: (n, positions + 1)."""
    local = dense_logits(weights, features.reshape(-1, features.shape[-1])).reshape(len(features), -1)
    score = dense_logits(weights, features.max(axis=(1, 2)))[:, None]
    return np.concatenate([local, score], axis=1).astype(np.float32)
