"""What is to be fitted, on what, and for how long."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from crater_ray.errors import UsageError
from crater_ray.network.stardust import FILTERS
from training.data_sets.dataset import DataSet
from training.fitting.checkpoint import State


@dataclass(frozen=True)
class Budget:
    """How long a fit may take. It may be raised later, to train longer.

    Attributes:
        minutes: wall time of both steps together, validation not counted.
        megapixels: image area trained on: the same for two recipes is the same compute, also on a machine that does
            other things meanwhile.
        ends: the moment, by `time.monotonic`, at which it is used in any case, validation counted.
    """

    minutes: float = 60.0
    megapixels: float | None = None
    ends: float | None = None

    def used(self, state: State) -> float:
        """Share of the budget that is used, 0..1."""
        share = state.seconds / 60.0 / self.minutes
        if self.megapixels is not None:
            share = max(share, state.megapixels / self.megapixels)
        if self.ends is not None and time.monotonic() >= self.ends:
            return 1.0
        return min(share, 1.0)


@dataclass(frozen=True)
class Settings:
    """How a network is fitted.

    Attributes:
        recipe: name of the recipe.
        budget: how long.
        seed: decides first weights, order and crops.
        step_two_share: part of the budget for the second step; 0 leaves it out.
        epoch_images: images in an epoch of step 1; a checkpoint and a validation follow each.
        batches: images in a batch, of the first and of the second step.
        dtype: Keras policy of the layers.
        learning_rate: the highest; the recipe's, or less for a network that was trained before, when None.
        filters: of each convolution, for a network that is pruned; the others will be inactive in what ships.
        screen_share: of the teacher's screen in what is taught of whole images; see `training.fitting.teacher`.
        patience: epochs without a higher validation accuracy after which a step ends. The weights of the highest are
            then kept, and the budget is one call's: the next goes on with the very next batch.
    """

    recipe: str
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    step_two_share: float = 0.2
    epoch_images: int = 6400
    batches: tuple[int, int] = (64, 8)
    dtype: str = "float32"
    learning_rate: float | None = None
    filters: tuple[int, ...] = FILTERS
    screen_share: float = 0.0
    patience: int | None = None


@dataclass(frozen=True)
class Data:
    """Data sets of both steps; the whole images may be absent when the second step is left out."""

    crops: DataSet
    validation: DataSet
    whole: DataSet | None = None
    whole_validation: DataSet | None = None

    def of(self, step: int) -> tuple[DataSet, DataSet]:
        """What to train and to validate on.

        Raises:
            UsageError: it is absent.
        """
        if step == 1:
            return self.crops, self.validation
        if self.whole is None or self.whole_validation is None:
            raise UsageError("The second step needs whole images: give --whole and --whole-validation.")
        return self.whole, self.whole_validation

    def digests(self) -> list[str | None]:
        """What tells these data sets from others."""
        sets = (self.crops, self.validation, self.whole, self.whole_validation)
        return [one.digest if one else None for one in sets]
