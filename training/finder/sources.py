"""What scenes are made from, on disk: blanks split by picture and kind before anything is cut, and seed craters.

SOURCES/
  train.npz    photographs and simulated foil to train on, uint8 arrays by name
  test.npz     photographs of the same kinds that training never sees
  unseen.npz   photographs of the kinds that were held out whole
  seeds.npz    seed craters, RGBA uint8
  textures.npz pictures of anything else without craters; optional
  card.json    what made them
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crater_ray.errors import UsageError
from training.data_sets.backgrounds import Photograph, read

TEST_SHARE = 0.2
SMALLEST = 96


@dataclass(frozen=True)
class Order:
    """What to collect.

    Attributes:
        photographs: folders of images without craters.
        unseen: beginnings of file names: pictures of these kinds are held out whole.
        simulated: how many blanks of simulated foil go with them.
        seed_craters: how many seed craters the simulator photographs.
        seed: decides split, foil and seed craters.
    """

    photographs: Sequence[str]
    unseen: Sequence[str] = ()
    simulated: int = 260
    seed_craters: int = 97
    seed: int = 0


def collect(order: Order, folder: Path, workers: int = 2) -> dict[str, int]:
    """Write the sources; gives how many of each.

    Raises:
        UsageError: there is nothing to train on.
    """
    from crater_ray.simulate.seeds import seed_library

    train, test, unseen = _split(order)
    names = [[photograph.name for photograph in some] for some in (train, test, unseen)]
    arrays = {f"photograph/{one.name}": one.pixels for one in train}
    with ProcessPoolExecutor(workers) as pool:
        for number, foil in enumerate(pool.map(_foil, [(order.seed, i) for i in range(order.simulated)])):
            arrays[f"foil/{number:05d}"] = foil
    if not arrays:
        raise UsageError("There is nothing to train on: give --photographs, or --simulated of at least 1.")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "train.npz", arrays)
    _write(folder / "test.npz", {one.name: one.pixels for one in test})
    _write(folder / "unseen.npz", {one.name: one.pixels for one in unseen})
    seeds = seed_library(order.seed_craters, order.seed)
    _write(folder / "seeds.npz", {f"{number:03d}": seed for number, seed in enumerate(seeds)})
    counts = {"train": len(train), "foil": order.simulated, "test": len(test), "unseen": len(unseen)}
    card = {"seed": order.seed, "unseen_kinds": list(order.unseen), "seed_craters": order.seed_craters, **counts}
    card["names"] = dict(zip(("train", "test", "unseen"), names, strict=True))
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return counts


def _split(order: Order) -> tuple[list[Photograph], list[Photograph], list[Photograph]]:
    """Of each kind (a file name without its number) some pictures are for testing; some kinds are held out whole."""
    found = [one for folder in order.photographs for one in read(folder) if min(one.pixels.shape) >= SMALLEST]
    kinds: dict[str, list[Photograph]] = {}
    for one in found:
        kinds.setdefault(re.sub(r"\d*\.[^.]*$", "", one.name), []).append(one)
    rng = np.random.default_rng([order.seed, 7])
    train: list[Photograph] = []
    test: list[Photograph] = []
    unseen: list[Photograph] = []
    for kind in sorted(kinds):
        pictures = [kinds[kind][number] for number in rng.permutation(len(kinds[kind]))]
        if kind.startswith(tuple(order.unseen)):
            unseen += pictures
            continue
        held_out = max(1, round(TEST_SHARE * len(pictures))) if len(pictures) > 1 else 0
        test, train = test + pictures[:held_out], train + pictures[held_out:]
    return train, test, unseen


def _foil(number: tuple[int, int]) -> np.ndarray:
    return draw_blank_foil(np.random.default_rng([*number, 11]))


def draw_blank_foil(rng: np.random.Generator) -> np.ndarray:
    """A blank of simulated foil, (384, 512) uint8, without what no observer tells from a crater.

    Blisters, pits, dark grains with a bright border, and dried drops show a ring or a crescent around an even floor:
    taught or counted as blanks they would deny craters.
    """
    from crater_ray.simulate import simulate_frame
    from crater_ray.simulate.ranges import Ranges

    made = simulate_frame(
        rng,
        ranges=Ranges(
            blister_count=(0, 0),
            pit_count=(0, 0),
            inclusion_dark=(1.1, 1.9),
            stain_ring=(0.0, 0.0),
        ),
    )
    return made.pixels


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path) -> list[np.ndarray]:
    """The arrays of one of the files, in the order in which they were written.

    Raises:
        UsageError: there is no such file.
    """
    if not path.exists():
        raise UsageError(f"There are no sources at {str(path)!r}: make them with `python -m training finder-sources`.")
    with np.load(path, allow_pickle=False) as stored:
        return [stored[name] for name in stored.files]
