"""Batches of scenes from processes of their own, endless, each decided by the seed and its number."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.finder.sources import read_arrays
from training.finder.targets import draw_targets
from training.scenes.scene import Scene, Sources, draw_scene


@dataclass(frozen=True)
class Batches:
    """What is streamed.

    Attributes:
        sources: folder of `training.finder.sources`.
        seed: decides all scenes.
        size: of the scenes, px.
        images: in a batch.
        workers: processes that draw.
        blank: no scene has craters.
        mined: file of `training.finder.mine` with blanks that an earlier network took for craters; None for none.
        mined_images: of a batch that are such blanks, flipped and turned.
    """

    sources: Path
    seed: int = 0
    size: int = 192
    images: int = 16
    workers: int = 2
    blank: bool = False
    mined: Path | None = None
    mined_images: int = 2


def stream(batches: Batches, first: int = 0) -> Generator[tuple[np.ndarray, np.ndarray]]:
    """Endless (images (n, size, size, 1) uint8, targets (n, size / 4, size / 4, 5) float32), from batch `first` on."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(batches.workers, context, _begin, (batches,)) as pool:
        under_way: deque[Future[tuple[np.ndarray, list[np.ndarray]]]] = deque()
        number = first
        try:
            while True:
                while len(under_way) < 2 * batches.workers + 2:
                    under_way.append(pool.submit(_draw, number))
                    number += 1
                images, craters = under_way.popleft().result()
                yield images[..., None], np.stack([draw_targets(some, batches.size) for some in craters])
        finally:
            for future in under_way:
                future.cancel()


_SOURCES: tuple[Batches, Sources, np.ndarray | None] | None = None


def _begin(batches: Batches) -> None:
    global _SOURCES  # noqa: PLW0603
    import cv2

    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    mined = None if batches.mined is None else read_mined(batches.mined)
    sources = read_sources(batches.sources)
    _SOURCES = batches, replace(sources, crater_share=0.0) if batches.blank else sources, mined


def read_sources(folder: Path, blanks: str = "train.npz") -> Sources:
    """Blanks and seed craters of a folder of `training.finder.sources`."""
    from training.scenes.cutouts import relative

    seeds = read_arrays(folder / "seeds.npz")
    # A seed crater's cut-out is 1.9 times its diameter wide, and 4 px.
    textures = read_arrays(folder / "textures.npz") if (folder / "textures.npz").exists() else []
    cutouts = [(relative(seed), (seed.shape[0] - 4) / 1.9 / seed.shape[0]) for seed in seeds]
    return Sources(read_arrays(folder / blanks), textures, cutouts=cutouts)


def read_mined(path: Path) -> np.ndarray:
    """The mined blanks of a file, (n, size, size) uint8."""
    with np.load(path) as stored:
        return np.asarray(stored["images"])


def _draw(number: int) -> tuple[np.ndarray, list[np.ndarray]]:
    assert _SOURCES is not None
    batches, sources, mined = _SOURCES
    drawn = batches.images - (0 if mined is None else batches.mined_images)
    scenes = [
        draw_scene(np.random.default_rng([batches.seed, number, image]), sources, batches.size)
        for image in range(drawn)
    ]
    if mined is not None:
        for image in range(drawn, batches.images):
            rng = np.random.default_rng([batches.seed, number, image])
            blank = np.rot90(mined[int(rng.integers(len(mined)))], int(rng.integers(4)))
            blank = blank[:, ::-1] if rng.random() < 0.5 else blank
            scenes.append(Scene(np.ascontiguousarray(blank), np.zeros((0, 4), np.float32)))
    return np.stack([scene.image for scene in scenes]), [scene.craters for scene in scenes]
