"""What a fit begins with: fresh weights, given ones, another fit or bundle to go on from, or a part of a teacher."""

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
from training.fitting.pruning import begin
from training.network.fold import pour, unfold
from training.recipes import Recipe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Beginning:
    """What a fit begins with; with none of these, fresh weights.

    Attributes:
        start: weights to train on from, in the second step.
        earlier: folder of another fit, or of a bundle, to go on from, in both steps.
        teacher: a bundle to begin as a part of, and to learn from.
        kept: a bundle whose answers to some images are to be kept.
    """

    start: Weights | None = None
    earlier: Path | None = None
    teacher: Bundle | None = None
    kept: Bundle | None = None

    def digest(self) -> str | None:
        """What tells it from other beginnings, where the data and the weights it goes on with do not.

        Raises:
            UsageError: there is neither a fit nor a bundle.
        """
        speaks = self.teacher or self.kept
        if speaks is not None:
            return speaks.id
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
            if self.earlier is not None or not recipe.batch_norm or recipe.preprocessing != self.teacher.preprocessing:
                raise UsageError(
                    "A network with a teacher begins as a part of it: give no --start, and a recipe with batch "
                    f"normalisation that prepares images as the teacher does ({self.teacher.preprocessing}); "
                    f"received: {recipe.name}"
                )
            return asked
        if asked != FILTERS or screen_share:
            raise UsageError("--filters and --screen-share need a --teacher: they are shares of it and its screen.")
        if self.start is not None:
            return filter_counts(drop_inactive(self.start))
        if self.earlier is None:
            return asked
        state = checkpoint.peek(self.earlier / checkpoint.FILE)
        if state is not None:
            return tuple(state.settings.get("filters", FILTERS))
        return filter_counts(drop_inactive(load(self.earlier).weights))

    def fill(self, model: keras.Model, recipe: Recipe, images: np.ndarray, filters: tuple[int, ...]) -> None:
        """Put what the fit begins with into its model, made by `build_trainable`.

        Args:
            model: what is fitted.
            recipe: that it was built for.
            images: uint8 (n, h, w, 1), such as will be trained on.
            filters: of each convolution.
        """
        if self.start is not None:
            pour(drop_inactive(self.start), model)
        elif self.teacher is not None:
            begin(self.teacher, recipe, model, images, filters)
        elif self.earlier is not None and (self.earlier / checkpoint.FILE).exists():
            checkpoint.restore(self.earlier / checkpoint.FILE, model, None)
        elif self.earlier is not None and recipe.batch_norm:
            unfold(drop_inactive(load(self.earlier).weights), model, images)
        elif self.earlier is not None:
            pour(drop_inactive(load(self.earlier).weights), model)
