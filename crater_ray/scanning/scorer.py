"""Scoring: the actor that holds the network on one device and turns Arrow batches into scores and places."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from crater_ray.engines.base import Engine
from crater_ray.engines.keras_screen import create_screen
from crater_ray.engines.registry import create
from crater_ray.errors import CraterRayError
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import CONVOLUTIONS, TILE
from crater_ray.places.locate import THREADS, find_places
from crater_ray.places.tiles import WHOLE_PIXELS, merge_places, tile_corners
from crater_ray.runs.audit import AUDIT, SCREEN
from crater_ray.scanning.localization import Sought
from crater_ray.watching.metrics import note_scored

FEATURES = CONVOLUTIONS[-1][0]
REVIEW_FLOOR = 0.01
"""The lowest cut-off at which scores have been reviewed; down to it, images get a place."""


@dataclass(frozen=True)
class Scored:
    """The verdicts on a batch.

    Attributes:
        row: (n,) int32, the images' rows in their block.
        score: (n,) float32 in 0..1.
        place: (n, 3) float32 x, y and diameter in px; x and y not a number below the floor, the diameter below the
            threshold or where no ring stands out.
        places: (n,) object: the distinct places of an image in tiles, as `crater_ray.places.tiles.merge_places` gives
            them.
        stage: (n,) object, which network decided.
        seconds: spent computing.
        sought: candidates that have no more than the middle of their evidence; others are to look for their craters.
    """

    row: np.ndarray
    score: np.ndarray
    place: np.ndarray
    places: np.ndarray
    stage: np.ndarray
    seconds: float
    sought: Sought | None = None


@dataclass(frozen=True)
class _Verdicts:
    """What is known of n images, or of some of them: as in `Scored`, and the engine's evidence of each."""

    score: np.ndarray
    place: np.ndarray
    places: np.ndarray
    peaks: np.ndarray
    positions: np.ndarray

    @staticmethod
    def none(n: int) -> _Verdicts:
        """Of n images, nothing yet."""
        evidence = np.zeros((n, FEATURES), np.float32), np.zeros((n, FEATURES), np.int32)
        return _Verdicts(
            np.zeros(n, np.float32), np.full((n, 3), np.nan, np.float32), np.full(n, None, object), *evidence
        )

    def put(self, where: slice | np.ndarray, some: _Verdicts) -> None:
        """Take over what is known of some images."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(some, field.name)


class Scorer:
    """Holds an engine; one per GPU, or one per machine without.

    Args:
        bundle: the network.
        engine: name of the engine, as `crater_ray.engines.registry.resolve` gives it.
        threshold: images from this score get the place of their crater; those from `REVIEW_FLOOR`, if lower, the
            middle of what the network saw.
        threads: processor threads; all when None.
        screened: have the bundle's screen look first, and the network only at what it lets pass.
        places: look for the craters of candidates in whole images; else say which ones are to be looked at.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        threshold: float,
        threads: int | None = None,
        screened: bool = False,
        places: bool = True,
    ) -> None:
        self._weights = bundle.weights
        self._places = places
        self._threshold = np.float32(threshold)
        self._floor = np.float32(min(threshold, REVIEW_FLOOR))
        self._below = np.nextafter(np.float32(threshold), np.float32(0))
        self._screen = bundle.screen if screened else None
        self._problem: CraterRayError | None = None
        try:
            self._engine: Engine = create(engine, bundle, threads, threshold)
            self._threads = 1 if self._engine.device.startswith("CPU") else THREADS
            if self._screen:
                self._screening = create_screen(engine, bundle, self._screen, threads)
        except CraterRayError as problem:  # an actor that dies at birth cannot say why; one that is asked can
            self._problem = problem

    def device(self) -> str:
        """What the scores are computed on; answering means being ready.

        Raises:
            CraterRayError: the engine cannot be had here.
        """
        if self._problem:
            raise self._problem
        return self._engine.device + (" behind the screen" if self._screen else "")

    def score(self, batch: pa.RecordBatch, audited: np.ndarray | None = None) -> Scored:
        """Score a batch.

        Args:
            batch: of schema `crater_ray.scanning.loader.BATCH`.
            audited: by row of the block, (block,) bool: have the network look at this image even if the screen finds
                it empty; none when None.
        """
        started = time.perf_counter()
        n = batch.num_rows
        row, height, width = (batch[name].to_numpy() for name in ("row", "height", "width"))
        found = _Verdicts.none(n)
        stage = np.full(n, self._engine.stage, object)
        look = np.zeros(n, bool) if audited is None else audited[row]
        offsets = np.frombuffer(batch["pixels"].buffers()[1], np.int64, n + 1, batch["pixels"].offset * 8)
        pixels = np.frombuffer(batch["pixels"].buffers()[2], np.uint8)
        start = 0
        while start < n:
            stop = start + 1
            while stop < n and height[stop] == height[start] and width[stop] == width[start]:
                stop += 1
            size = (stop - start, int(height[start]), int(width[start]))
            images = pixels[offsets[start] : offsets[stop]].reshape(size)
            part = slice(start, stop)
            if self._screen and size[1:] == self._screen.size:
                verdicts, stage[part] = self._score_screened(images, look[part])
            else:
                verdicts = self._score_images(images)
            found.put(part, verdicts)
            start = stop
        sought = self._sought(found) if not self._places else None
        seconds = time.perf_counter() - started
        note_scored(seconds)
        return Scored(row, found.score, found.place, found.places, stage, seconds, sought)

    def _sought(self, found: _Verdicts) -> Sought | None:
        # Of images in tiles the craters have been looked for; they have no evidence that is theirs alone.
        index = np.flatnonzero((found.score >= self._threshold) & found.peaks.any(axis=1))
        if not len(index):
            return None
        return Sought(index, found.place[index, :2], found.peaks[index], found.positions[index])

    def _score_screened(self, images: np.ndarray, audited: np.ndarray) -> tuple[_Verdicts, np.ndarray]:
        screened = self._screening.look(images)
        passed = screened.passed
        stage = np.full(len(images), SCREEN, object)
        stage[audited], stage[passed] = AUDIT, self._engine.stage
        found = _Verdicts.none(len(images))
        # What the screen alone finds empty is never a candidate, whatever it thinks of its own scores.
        found.score[:] = np.minimum(screened.scores, self._below)
        look = np.flatnonzero(passed | audited)
        if len(look):
            found.put(look, self._score_images(images[look]))
        return found, stage

    def _score_images(self, images: np.ndarray) -> _Verdicts:
        n, height, width = images.shape
        found = _Verdicts.none(n)
        if height * width <= WHOLE_PIXELS:
            evidence = self._engine.score(images)
            threshold = self._threshold if self._places else np.float32(np.inf)
            place = find_places(images, evidence, self._floor, threshold, self._weights, self._threads)
            return replace(
                found, score=evidence.scores, place=place, peaks=evidence.peaks, positions=evidence.positions
            )
        for i, image in enumerate(images):
            found.score[i], found.place[i], found.places[i] = self._score_tiled(image)
        return found

    def _score_tiled(self, image: np.ndarray) -> tuple[np.float32, np.ndarray, list[dict[str, float | None]] | None]:
        corners = tile_corners(*image.shape)
        score, place = np.zeros(len(corners), np.float32), np.zeros((len(corners), 3), np.float32)
        for start in range(0, len(corners), 64):
            some = corners[start : start + 64]
            tiles = np.stack([image[row : row + TILE[0], column : column + TILE[1]] for row, column in some])
            evidence = self._engine.score(tiles)
            found = find_places(tiles, evidence, self._floor, self._threshold, self._weights, self._threads)
            score[start : start + 64] = evidence.scores
            place[start : start + 64] = found + np.asarray([(column, row, 0) for row, column in some], np.float32)
        best = int(score.argmax())
        return score[best], place[best], merge_places(score, place, self._threshold)
