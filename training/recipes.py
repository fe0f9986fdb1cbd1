"""The named recipes, `original` as the foil search trained its network, and `matched`, ours; all stand in `RECIPES`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from crater_ray.errors import UsageError
from crater_ray.network.stardust import Preprocessing


@dataclass(frozen=True)
class Images:
    """How images are made; as in `matched` where nothing is said.

    Attributes:
        diameters_px: smallest and largest crater.
        log_uniform: diameters uniform in their logarithm rather than in pixels.
        aspect_spread: standard deviation of the ratio of a crater's axes about 1.
        blended: match brightness, contrast, blur, noise and detector side to the spot; else plain alpha paste.
        planted_share: of the images with craters, those whose crater the simulator's physics rendered into the foil.
        real_share: of the images that are not planted, those made on photographs where there are any.
        decoy_share: of the blanks, those with pasted things that are no craters.
    """

    diameters_px: tuple[float, float] = (3.0, 40.0)
    log_uniform: bool = True
    aspect_spread: float = 0.12
    blended: bool = True
    planted_share: float = 0.4
    real_share: float = 0.5
    decoy_share: float = 0.3


@dataclass(frozen=True)
class Learning:
    """How the network is fitted to images; as in `matched` where nothing is said.

    Attributes:
        preprocessing: what the network does to raw pixels first.
        learning_rate: the highest.
        batch_norm: normalise activations in training; folded into the convolutions afterwards.
        position_loss: weight of the auxiliary loss that says at which positions of the feature map craters lie.
        spatial_dropout: after each convolution. dense_dropout: after each dense layer.
        l2: on convolution kernels.
        blank_weight: weight of a blank in the loss, a crater being 1.
        cosine: warm up and let the learning rate fall along a cosine; else it stays.
        curriculum: begin with small crops and large craters.
        gamma_spread: largest natural logarithm of the gamma by which the tones of a training image are changed.
    """

    preprocessing: Preprocessing = "sigma-clip"
    learning_rate: float = 1e-3
    batch_norm: bool = True
    position_loss: float = 0.5
    spatial_dropout: float = 0.0
    dense_dropout: float = 0.0
    l2: float = 0.0
    blank_weight: float = 1.0
    cosine: bool = True
    curriculum: bool = True
    gamma_spread: float = 0.3


@dataclass(frozen=True)
class Recipe:
    """How images are made and how the network is fitted to them; `name` is what `--recipe` calls it."""

    name: str
    images: Images = Images()
    learning: Learning = Learning()

    def card(self) -> dict[str, Any]:
        """All settings, for the record. Keys never change: cards of earlier versions have them."""
        images = asdict(self.images)
        images = {"matched_merge" if key == "blended" else key: value for key, value in images.items()}
        return {"name": self.name, **images, **asdict(self.learning)}


ORIGINAL = Recipe(
    "original",
    Images(
        diameters_px=(5.0, 34.0),
        log_uniform=False,
        aspect_spread=0.1,
        blended=False,
        planted_share=0.0,
        real_share=0.5,
        decoy_share=0.0,
    ),
    Learning(
        preprocessing="minmax",
        learning_rate=2e-4,
        batch_norm=False,
        position_loss=0.0,
        spatial_dropout=0.25,
        dense_dropout=0.3,
        l2=1e-4,
        blank_weight=10.0,
        cosine=False,
        curriculum=False,
        gamma_spread=0.0,
    ),
)

MATCHED = Recipe("matched")

RECIPES = {recipe.name: recipe for recipe in (ORIGINAL, MATCHED)}


def find(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"--recipe must be one of {', '.join(RECIPES)}; received: {name!r}")
    return RECIPES[name]


def with_least_diameter(recipe: Recipe, least_px: float) -> Recipe:
    """The same recipe without craters smaller than `least_px` pixels.

    Raises:
        UsageError: no diameter would be left.
    """
    smallest, largest = recipe.images.diameters_px
    if least_px >= largest:
        raise UsageError(
            f"The least diameter must be below {largest:g} px, the largest of the recipe "
            f"{recipe.name!r}; received: {least_px:g}"
        )
    return replace(recipe, images=replace(recipe.images, diameters_px=(max(smallest, least_px), largest)))
