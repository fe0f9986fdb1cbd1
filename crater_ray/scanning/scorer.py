"""Scoring: the actor that holds the network on one device and turns Arrow batches into scores and places."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import pyarrow as pa

from crater_ray.engines.base import Engine, FeatureEngine
from crater_ray.engines.registry import create, create_screen
from crater_ray.errors import CraterRayError
from crater_ray.images.pixels import unpack
from crater_ray.network.bundle import Bundle
from crater_ray.network.evidence import Evidence
from crater_ray.network.stardust import CONVOLUTIONS, TILE
from crater_ray.places.centres import find_centres, listed
from crater_ray.places.locate import THREADS, find_places
from crater_ray.places.tiles import WHOLE_PIXELS, distinct_places, tile_corners
from crater_ray.runs.audit import AUDIT, SCREEN
from crater_ray.runs.columns import given_by
from crater_ray.scanning.localization import Unlocalized
from crater_ray.scanning.map_tiles import MOST_PIXELS, find_in_tiles, maps_of
from crater_ray.scanning.windows import windows_of
from crater_ray.watching.metrics import note_scored

FEATURES = CONVOLUTIONS[-1][0]
REVIEW_FLOOR = 0.01
"""The lowest cut-off at which scores have been reviewed; down to it, images get a place."""


PLACE = ("x", "y", "diameter")
"""The columns that a place fills: pixels to the right, pixels down, pixels across."""


@dataclass(frozen=True)
class Scored:
    """The verdicts on a batch.

    Attributes:
        row: (n,) int32, the images' rows in their block.
        values: (n,) each, by name of the columns that a scorer gives, held as `crater_ray.runs.columns.Column.empty`
            does: not a number, or None, for null.
        seconds: spent computing.
        unlocalized: candidates that have no more than the middle of their evidence; other processes localise them.
    """

    row: np.ndarray
    values: dict[str, np.ndarray]
    seconds: float
    unlocalized: Unlocalized | None = None

    @property
    def score(self) -> np.ndarray:
        """(n,) float32 in 0..1."""
        return self.values["score"]

    @property
    def place(self) -> np.ndarray:
        """(n, 3) float32 x, y and diameter in px; x and y not a number below the floor, the diameter below the
        threshold or where no ring stands out."""
        return np.stack([self.values[name] for name in PLACE], axis=1)

    def with_places(self, found: np.ndarray) -> Scored:
        """The same verdicts, with the craters of `unlocalized` at the places where they were found.

        Args:
            found: (k, 3) float32, as `crater_ray.scanning.localization.localize` gives it.
        """
        if self.unlocalized is None:
            return self
        values = self.values | {name: self.values[name].copy() for name in PLACE}
        for name, numbers in zip(PLACE, found.T, strict=True):
            values[name][self.unlocalized.index] = numbers
        return replace(self, values=values, unlocalized=None)


@dataclass(frozen=True)
class Verdicts:
    """What is known of n images, or of some of them.

    Attributes:
        values: as in `Scored`.
        peaks, positions: (n, 32), the engine's evidence of each; zeros for images in tiles.
    """

    values: dict[str, np.ndarray]
    peaks: np.ndarray
    positions: np.ndarray

    @staticmethod
    def none(n: int) -> Verdicts:
        """Of n images, nothing yet."""
        values = {column.name: column.empty(n) for column in given_by("scorer")}
        return Verdicts(values, np.zeros((n, FEATURES), np.float32), np.zeros((n, FEATURES), np.int32))

    def put(self, where: slice | np.ndarray, some: Verdicts) -> None:
        """Take over what is known of some images."""
        for name, values in some.values.items():
            self.values[name][where] = values
        self.peaks[where], self.positions[where] = some.peaks, some.positions

    def of(self, some: np.ndarray) -> Verdicts:
        """What is known of some images, by their indices."""
        values = {name: values[some] for name, values in self.values.items()}
        return Verdicts(values, self.peaks[some], self.positions[some])

    def put_place(self, where: slice | int, place: np.ndarray) -> None:
        """Note x, y and diameter, (..., 3)."""
        for name, numbers in zip(PLACE, place.T, strict=True):
            self.values[name][where] = numbers


Pieces = Iterator[tuple[np.ndarray, np.ndarray, Evidence]]
"""Of an image: corners (k, 2), row and column in px; pixels (k, h, w) uint8; what the engine saw in each."""


class Scorer:
    """Holds an engine; one per GPU, or one per machine without.

    Args:
        bundle: the network.
        engine: name of the engine, as `crater_ray.engines.choice.resolve` gives it.
        threshold: images from this score get the place of their crater; those from `REVIEW_FLOOR`, if lower, the
            middle of what the network saw.
        threads: processor threads; all when None.
        screened: have the bundle's screen look first, and the network only at what it lets pass.
        localizes: whether candidates in whole images are localised here; else it says which ones are to be.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        threshold: float,
        threads: int | None = None,
        screened: bool = False,
        localizes: bool = True,
    ) -> None:
        self._weights, self._maps = bundle.weights, False
        self._localizes = localizes
        self._threshold = np.float32(threshold)
        self._floor = np.float32(min(threshold, REVIEW_FLOOR))
        self._below = np.nextafter(np.float32(threshold), np.float32(0))
        self._screen = bundle.screen if screened else None
        self._problem: CraterRayError | None = None
        try:
            self._engine: Engine = create(engine, bundle, threads, threshold)
            self._maps = bundle.gives_maps
            self._features = self._engine if isinstance(self._engine, FeatureEngine) and not self._maps else None
            self._threads = 1 if self._engine.kind == "cpu" else THREADS
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
            batch: of schema `crater_ray.images.pixels.PIXELS`.
            audited: by row of the block, (block,) bool: have the network look at this image even if the screen finds
                it empty; none when None.
        """
        started = time.perf_counter()
        n = batch.num_rows
        row = batch["row"].to_numpy()
        found = Verdicts.none(n)
        look = np.zeros(n, bool) if audited is None else audited[row]
        for part, images in unpack(batch):
            if self._screen and images.shape[1:] == self._screen.size:
                found.put(part, self._score_screened(images, look[part]))
            else:
                found.put(part, self._score_images(images))
        found.values["page"][:] = batch["page"].to_numpy()
        best = _best_pictures(row, found.values["score"])
        if len(best) < n:
            row, found = row[best], found.of(best)
        unlocalized = None if self._localizes else self._unlocalized(found, best)
        seconds = time.perf_counter() - started
        note_scored(seconds)
        return Scored(row, found.values, seconds, unlocalized)

    def _unlocalized(self, found: Verdicts, picture: np.ndarray) -> Unlocalized | None:
        # Images in tiles have been localised; they have no evidence that is theirs alone.
        index = np.flatnonzero((found.values["score"] >= self._threshold) & found.peaks.any(axis=1))
        if not len(index):
            return None
        middle = np.stack([found.values[name][index] for name in PLACE[:2]], axis=1)
        return Unlocalized(index, picture[index], middle, found.peaks[index], found.positions[index])

    def _score_screened(self, images: np.ndarray, audited: np.ndarray) -> Verdicts:
        screened = self._screening.look(images)
        found = Verdicts.none(len(images))
        # What the screen alone finds empty is never a candidate, whatever it thinks of its own scores.
        found.values["score"][:] = np.minimum(screened.scores, self._below)
        found.values["stage"][:] = SCREEN
        look = np.flatnonzero(screened.passed | audited)
        if len(look):
            found.put(look, self._score_images(images[look]))
        found.values["stage"][audited & ~screened.passed] = AUDIT
        return found

    def _score_images(self, images: np.ndarray) -> Verdicts:
        n, height, width = images.shape
        found = Verdicts.none(n)
        found.values["stage"][:] = self._engine.stage
        if self._maps:
            return self._put_craters(found, images)
        if height * width <= WHOLE_PIXELS:
            evidence = self._pooled(images)
            threshold = self._threshold if self._localizes else np.float32(np.inf)
            place = find_places(images, evidence, self._floor, threshold, self._weights, self._threads)
            found.values["score"][:] = evidence.scores
            found.put_place(slice(None), place)
            return replace(found, peaks=evidence.peaks, positions=evidence.positions)
        for i, pieces in enumerate(self._windows(images) if self._features else map(self._tiles, images)):
            found.values["score"][i], place, found.values["places"][i] = self._best_of(pieces, height, width)
            found.put_place(i, place)
        return found

    def _put_craters(self, found: Verdicts, images: np.ndarray) -> Verdicts:
        """What the finder says: a score and all craters down to the floor, of each image."""
        _, height, width = images.shape
        floor = float(self._floor)
        if height * width <= MOST_PIXELS:
            said = maps_of(self._engine, images)
            scores, each = said.scores, [find_centres(maps, floor, height, width) for maps in said.maps]
        else:
            scores, each = find_in_tiles(self._engine, images, floor)
        found.values["score"][:] = scores
        for i, centres in enumerate(each):
            if len(centres.x):
                found.put_place(i, np.array([centres.x[0], centres.y[0], centres.diameter[0]], np.float32))
                found.values["places"][i] = listed(centres)
        return found

    def _pooled(self, images: np.ndarray) -> Evidence:
        said = self._engine.score(images)
        if not isinstance(said, Evidence):
            raise TypeError(f"The engine must give pooled evidence; received: {type(said).__name__}")
        return said

    def _windows(self, images: np.ndarray) -> Iterator[Pieces]:
        """The windows of each image, whose convolutions are computed once."""
        assert self._features is not None
        for _, blocks in groupby(windows_of(self._features, images, self._weights), lambda block: block.image):
            yield ((block.corners, block.pixels, block.evidence) for block in blocks)

    def _tiles(self, image: np.ndarray) -> Pieces:
        """Its tiles, each computed as an image of its own."""
        corners = tile_corners(*image.shape)
        for start in range(0, len(corners), 64):
            some = corners[start : start + 64]
            tiles = np.stack([image[row : row + TILE[0], column : column + TILE[1]] for row, column in some])
            yield np.asarray(some), tiles, self._pooled(tiles)

    def _best_of(
        self, pieces: Pieces, height: int, width: int
    ) -> tuple[np.float32, np.ndarray, list[dict[str, float | None]] | None]:
        """Score and place of an image by its best piece, and all distinct places."""
        scores, places = [], []
        for corners, pixels, evidence in pieces:
            found = find_places(pixels, evidence, self._floor, self._threshold, self._weights, self._threads)
            found[:, :2] = np.minimum(found[:, :2] + corners[:, ::-1], (width - 1, height - 1))
            scores.append(evidence.scores)
            places.append(found)
        score, place = np.concatenate(scores), np.concatenate(places)
        best = int(score.argmax())
        return score[best], place[best], distinct_places(score, place, self._threshold)


def _best_pictures(row: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Of each image the picture that scores best, and of equal ones the first: (images,) indices, in order."""
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(row[order], return_index=True)
    return np.sort(order[first])
