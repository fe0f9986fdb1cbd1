"""A shard being worked on: the verdicts gathered so far, until they make a part."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from crater_ray import part
from crater_ray.decode import OK, UNREADABLE
from crater_ray.loader import Loaded
from crater_ray.scorer import Scored


@dataclass
class Block:
    """Some consecutive images of a shard, loaded and scored together.

    Attributes:
        shard: the shard's number.
        start, stop: its rows in the shard.
        tries: how often loading or scoring it ended in an error.
        crashes: how often a process died over it.
    """

    shard: int
    start: int
    stop: int
    tries: int = 0
    crashes: int = 0

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass
class ShardWork:
    """Gathers the rows of one shard, in any order, any of them possibly twice.

    Args:
        number: the shard.
        images: its rows of the manifest.
    """

    number: int
    images: pa.Table
    _status: list[str | None] = field(init=False)
    _error: list[str | None] = field(init=False)

    def __post_init__(self) -> None:
        n = self.images.num_rows
        self._status = [None] * n
        self._error = [None] * n
        self._height: list[int | None] = [None] * n
        self._width: list[int | None] = [None] * n
        self._stage: list[str | None] = [None] * n
        self._score = np.full(n, np.nan, np.float32)
        self._x = np.full(n, np.nan, np.float32)
        self._y = np.full(n, np.nan, np.float32)
        self._settled = np.zeros(n, bool)

    def blocks(self, images: int) -> list[Block]:
        n = self.images.num_rows
        return [Block(self.number, start, min(start + images, n)) for start in range(0, n, images)]

    def addresses(self, block: Block) -> tuple[list[str], list[int | None]]:
        """Where a block's images are, and how many bytes each had when it was listed."""
        images = self.images.slice(block.start, len(block))
        return images["uri"].to_pylist(), images["size"].to_pylist()

    def take_loaded(self, block: Block, loaded: Loaded) -> None:
        """Note what loading found; images without pixels are settled by it."""
        rows = slice(block.start, block.start + loaded.done)
        self._status[rows] = loaded.status
        self._error[rows] = loaded.error
        self._height[rows] = loaded.height
        self._width[rows] = loaded.width
        self._settled[rows] = [status != OK for status in loaded.status]

    def take_scored(self, block: Block, scored: Scored) -> None:
        rows = block.start + scored.row
        self._score[rows] = scored.score
        self._x[rows] = scored.x
        self._y[rows] = scored.y
        for row in rows:
            self._stage[row] = scored.stage
        self._settled[rows] = True

    def take_crash(self, block: Block, reason: str) -> None:
        """Give up on images whose handling kills processes."""
        for row in range(block.start, block.stop):
            self._status[row], self._error[row] = UNREADABLE, reason
        self._settled[block.start : block.stop] = True

    @property
    def complete(self) -> bool:
        return bool(self._settled.all())

    def rows(self, bundle: str) -> pa.Table:
        """The shard's rows, schema `crater_ray.part.SCHEMA`, in the manifest's order."""
        n = self.images.num_rows
        unscored = np.asarray([status != OK for status in self._status])
        columns = {
            "key": self.images["key"],
            "uri": self.images["uri"],
            "status": pa.array(self._status, pa.string()),
            "error": pa.array(self._error, pa.string()),
            "height": pa.array(self._height, pa.int32()),
            "width": pa.array(self._width, pa.int32()),
            "score": pa.array(self._score, pa.float32(), mask=unscored),
            "x": pa.array(self._x, pa.float32(), from_pandas=True),
            "y": pa.array(self._y, pa.float32(), from_pandas=True),
            "bundle": pa.array([bundle] * n, pa.string()),
            "stage": pa.array(self._stage, pa.string()),
        }
        return pa.table(columns, schema=part.SCHEMA)
