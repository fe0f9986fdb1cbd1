"""Tiny data sets, made once, that the tests of training share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from training.data_sets.dataset import DataSet, read
from training.data_sets.synthesize import Order, synthesize

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one of the suite's workers makes, and that the others wait for."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(f".{os.getpid()}")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture
def untraced() -> Iterator[None]:
    """Steps run as they stand: of a fit of a few batches, tracing them takes the most, and it is not always the point.

    The arithmetic is the same; what is traced, other tests of fits show.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 "photographs": coarse noise, each another."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    for number in range(20):
        rng = np.random.default_rng([20, number])
        coarse = Image.fromarray(rng.integers(70, 170, (30, 40), dtype=np.uint8))
        coarse.resize((300, 240), Image.Resampling.BICUBIC).save(folder / f"photo{number:02d}.png")
    return folder


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> dict[str, DataSet]:
    """Small matched data sets of all three splits, of 150x150 pixels."""

    def make(folder: Path) -> None:
        for split in splits:
            synthesize(Order("matched", 120, split=split, backgrounds=str(photographs)), folder / split, workers=1)

    splits = ("train", "validation", "test")
    folder = made_once(tmp_path_factory, "sets", make)
    return {split: read(folder / split) for split in splits}


@pytest.fixture(scope="session")
def easy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataSet]:
    """Data sets of 104x104 pixels with craters of 20 px and more on simulated foil, to train on in seconds."""

    def make(folder: Path) -> None:
        for split, count in images.items():
            synthesize(Order("matched", count, (104, 104), split, least_diameter=20.0), folder / split, workers=1)

    images = {"train": 300, "validation": 100}
    folder = made_once(tmp_path_factory, "easy", make)
    return {split: read(folder / split) for split in images}
