"""Making a data set: shard by shard in parallel processes, each shard decided by the seed and its number alone."""

from __future__ import annotations

import hashlib
import multiprocessing
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from training import recipes
from training.data_sets import backgrounds, seeds
from training.data_sets.canvas import Materials
from training.data_sets.compose import compose, compose_visible
from training.data_sets.crowd import compose_crowd
from training.data_sets.dataset import write_shard, write_table
from training.data_sets.foreign import DIAMETERS, compose_foreign
from training.data_sets.sample import VISIBILITY

FOREIGN = "foreign"

SHARD_IMAGES = {True: 500, False: 100}
"""Images in one shard, for crops and for whole images."""


@dataclass(frozen=True)
class Order:
    """What data set is wanted.

    Attributes:
        recipe: name of the recipe; or `foreign`, for test images that share nothing with any recipe.
        images: how many, half of them with a crater.
        shape: height and width in pixels.
        split: which seed craters and backgrounds may be used: train, validation or test.
        seed: decides everything random. The split itself comes from `split_seed`, so that two trainings
            with different seeds can share one test set.
        split_seed: decides which seed craters and backgrounds belong to which split.
        seeds_folder: PNG cut-outs, or nothing for the simulator's library.
        backgrounds: folder or s3:// of photographs, or nothing for simulated foil only.
        least_diameter: leaves out smaller craters.
        plain: take photographs as they are, without changing contrast or adding noise.
        most_craters: up to so many craters, a third at least, in each image that has any: for training.
        shared: all seed craters and all backgrounds in every split, no foil beside the backgrounds, and no crater drawn
            anew because it cannot be seen: as the original had it. Figures on such images flatter.
    """

    recipe: str
    images: int
    shape: tuple[int, int] = (150, 150)
    split: str = "train"
    seed: int = 0
    split_seed: int = 0
    seeds_folder: str | None = None
    backgrounds: str | None = None
    least_diameter: float | None = None
    plain: bool = False
    most_craters: int = 1
    shared: bool = False


def synthesize(
    order: Order, folder: Path, *, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Make the data set and return its card.

    Args:
        order: what is wanted.
        folder: where to; must not hold a data set yet.
        workers: processes at once.
        progress: is told images done and images wanted.

    Raises:
        UsageError: the order cannot be carried out, or the folder is taken.
    """
    _check(order, folder)
    folder.mkdir(parents=True, exist_ok=True)
    per_shard = SHARD_IMAGES[max(order.shape) < 256]
    counts = [min(per_shard, order.images - start) for start in range(0, order.images, per_shard)]
    rows: list[dict[str, Any]] = []
    for part in _shards(order, folder, counts, workers):
        rows += part
        if progress is not None:
            progress(len(rows), order.images)
    card = {
        "recipe": {"name": FOREIGN} if order.recipe == FOREIGN else recipes.find(order.recipe).card(),
        "images_wanted": order.images,
        "shape": list(order.shape),
        "split": order.split,
        "seed": order.seed,
        "split_seed": order.split_seed,
        "seed_craters": "folder" if order.seeds_folder else "simulated library",
        "backgrounds": "photographs and simulated foil" if order.backgrounds else "simulated foil",
        "least_diameter": order.least_diameter,
        "plain_photographs": order.plain,
        "most_craters": order.most_craters,
        "shared": order.shared,
        "least_visibility": 0.0 if order.shared else VISIBILITY,
        "simulator": _simulator(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    return write_table(folder, rows, card)


def _shards(order: Order, folder: Path, counts: list[int], workers: int) -> Iterator[list[dict[str, Any]]]:
    """Make all shards and give their rows in order; with one worker in this process, which starts at once."""
    if workers < 2:
        yield from (make_shard(order, folder, number, count) for number, count in enumerate(counts))
        return
    with ProcessPoolExecutor(max_workers=workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(make_shard, order, folder, number, count) for number, count in enumerate(counts)]
        yield from (job.result() for job in jobs)


def make_shard(order: Order, folder: Path, number: int, count: int) -> list[dict[str, Any]]:
    """Make and write one shard; return its table rows."""
    recipe = None if order.recipe == FOREIGN else recipes.find(order.recipe)
    if recipe is not None and order.least_diameter is not None:
        recipe = recipes.with_least_diameter(recipe, order.least_diameter)
    library: Sequence[seeds.Seed]
    library = seeds.read_folder(Path(order.seeds_folder)) if order.seeds_folder else seeds.default_library(0)
    photographs = backgrounds.read(order.backgrounds) if order.backgrounds else []
    if not order.shared:
        library = seeds.pick(library, order.split, order.split_seed)
        photographs = backgrounds.pick(photographs, order.split, order.split_seed)
    materials = None
    if recipe is not None:
        images = replace(recipe.images, real_share=1.0) if order.shared else recipe.images
        materials = Materials(images, library, photographs, order.shape, order.plain)
    pixels = np.empty((count, *order.shape), np.uint8)
    rows = []
    for index in range(count):
        # The split is part of the seed: no simulated foil of one split can occur in another.
        rng = np.random.default_rng([order.seed, seeds.SPLITS.index(order.split), number, index])
        name = f"foil-{order.split}-{order.seed}-{number}-{index}"
        crater = index % 2 == 0
        if materials is None:
            sample = compose_foreign(rng, photographs, order.shape, name, crater=crater)
        elif crater and order.most_craters > 1:
            sample = compose_crowd(rng, replace(materials, plain=False), name, most=order.most_craters)
        elif order.shared:
            sample = compose(rng, materials, name, crater=crater)
        else:
            sample = compose_visible(rng, materials, name, crater=crater)
        pixels[index] = sample.pixels
        rows.append(sample.row)
    write_shard(folder, number, pixels)
    return rows


def _simulator() -> str:
    """Twelve hexadecimal digits of the simulator's source: another simulator makes other images of the same seed."""
    from crater_ray import simulate

    digest = hashlib.sha256()
    for path in sorted(Path(simulate.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _check(order: Order, folder: Path) -> None:
    if order.recipe == FOREIGN:
        if order.split != "test":
            raise UsageError(f"The recipe {FOREIGN!r} makes test images only: give --split test.")
        largest = DIAMETERS[1]
    else:
        largest = recipes.find(order.recipe).images.diameters_px[1]
    if (folder / "card.json").exists():
        raise UsageError(f"{str(folder)!r} already holds a data set. Choose another folder, or remove it first.")
    if order.images < 2:
        raise UsageError(f"A data set needs at least 2 images; received: {order.images}")
    least = max(92, int(np.ceil(largest * 2.0)) + 12)
    if min(order.shape) < least:
        raise UsageError(
            f"Images must be at least {least} pixels high and wide for craters of up to "
            f"{largest:g} px; received: {order.shape[0]}x{order.shape[1]}"
        )
    if order.shared:
        if not order.backgrounds:
            raise UsageError("Backgrounds that all splits share must be given; received: none")
        return
    library_size = len(seeds.read_folder(Path(order.seeds_folder))) if order.seeds_folder else seeds.LIBRARY_COUNT
    if not len(seeds.split(library_size, order.split, order.split_seed)):
        raise UsageError(
            f"The split {order.split!r} of {library_size} seed craters is empty: give at least 10 cut-outs."
        )
    if order.backgrounds:
        photographs = backgrounds.read(order.backgrounds)
        if not backgrounds.pick(photographs, order.split, order.split_seed):
            raise UsageError(
                f"The split {order.split!r} of {len(photographs)} backgrounds is empty: give at least 10 images."
            )
