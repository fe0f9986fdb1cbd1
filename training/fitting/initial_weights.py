"""Initial weights of a fit: fresh ones, given ones, those of another fit or bundle, or a part of a teacher's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle, load
from crater_ray.network.pruning import drop_inactive, filter_counts
from crater_ray.network.stardust import FILTERS, Weights
from training.fitting import checkpoint
from training.fitting.pruning import start_from_teacher
from training.network.fold import pour, unfold
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class InitialWeights:
    """Where the weights come from; with none of these they are fresh.

    Attributes:
        weights: to train on, in the second step alone.
        earlier: folder of another fit, or of a bundle, to go on from, in both steps.
        teacher: a bundle to start as a part of, and to learn from.
    """

    weights: Weights | None = None
    earlier: Path | None = None
    teacher: Bundle | None = None

    def digest(self) -> str | None:
        """What tells them from others, where neither data nor the weights themselves do.

        Raises:
            UsageError: there is neither a fit nor a bundle.
        """
        if self.teacher is not None:
            return self.teacher.id
        if self.earlier is None:
            return None
        path = self.earlier / checkpoint.FILE
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else load(self.earlier).id

    def filters(self, recipe: Recipe, asked: tuple[int, ...], screen_share: float) -> tuple[int, ...]:
        """How many filters each convolution has in the fit: as asked of a teacher; else inactive ones stay inactive.

        Raises:
            UsageError: what is asked does not go together.
        """
        if self.teacher is not None:
            if (
                self.earlier is not None
                or not recipe.learning.batch_norm
                or recipe.learning.preprocessing != self.teacher.preprocessing
            ):
                raise UsageError(
                    "A network with a teacher begins as a part of it: give no --start, and a recipe with batch "
                    f"normalisation that prepares images as the teacher does ({self.teacher.preprocessing}); "
                    f"received: {recipe.name}"
                )
            return asked
        if asked != FILTERS or screen_share:
            raise UsageError("--filters and --screen-share need a --teacher: they are shares of it and its screen.")
        if self.weights is not None:
            return filter_counts(drop_inactive(self.weights))
        if self.earlier is None:
            return asked
        state = checkpoint.peek(self.earlier / checkpoint.FILE)
        if state is not None:
            return tuple(state.settings.get("filters", FILTERS))
        return filter_counts(drop_inactive(load(self.earlier).weights))

    def fill(self, model: keras.Model, recipe: Recipe, images: np.ndarray, filters: tuple[int, ...]) -> None:
        """Put the weights into a model made by `build_trainable`.

        Args:
            model: what is fitted.
            recipe: that it was built for.
            images: uint8 (n, h, w, 1), such as will be trained on.
            filters: of each convolution.
        """
        if self.weights is not None:
            pour(drop_inactive(self.weights), model)
        elif self.teacher is not None:
            start_from_teacher(self.teacher, recipe, model, images, filters)
        elif self.earlier is not None and (self.earlier / checkpoint.FILE).exists():
            checkpoint.restore(self.earlier / checkpoint.FILE, model, None)
        elif self.earlier is not None and recipe.learning.batch_norm:
            unfold(drop_inactive(load(self.earlier).weights), model, images)
        elif self.earlier is not None:
            pour(drop_inactive(load(self.earlier).weights), model)
