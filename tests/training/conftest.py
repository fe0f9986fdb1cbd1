"""Tiny data sets, made once, that the tests of training share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from training.data_sets.dataset import DataSet, read
from training.data_sets.synthesize import Order, synthesize

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


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
    made = {}
    for split in ("train", "validation", "test"):
        folder = tmp_path_factory.mktemp("sets") / split
        synthesize(Order("matched", 120, split=split, backgrounds=str(photographs)), folder, workers=1)
        made[split] = read(folder)
    return made


@pytest.fixture(scope="session")
def easy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataSet]:
    """Data sets of 104x104 pixels with craters of 20 px and more on simulated foil, to train on in seconds."""
    made = {}
    for split, images in (("train", 300), ("validation", 100)):
        folder = tmp_path_factory.mktemp("easy") / split
        synthesize(Order("matched", images, (104, 104), split, least_diameter=20.0), folder, workers=1)
        made[split] = read(folder)
    return made
