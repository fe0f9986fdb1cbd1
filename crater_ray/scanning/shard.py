"""A shard being worked on: the verdicts gathered so far, until they make a part."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from crater_ray.images.decode import OK, UNREADABLE
from crater_ray.runs import part
from crater_ray.runs.audit import chosen
from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.scorer import Scored


@dataclass
class Block:
    """Some consecutive images of a shard, loaded and scored together.

    Attributes:
        shard: the shard's number.
        start, stop: its rows in the shard.
        tries: how often loading or scoring it ended in an error.
        crashes: how often a process died over it.
        copies: how many of it are under way, from being given to a loader until its verdicts are in.
        loaded: whether its pixels are there: a second copy that comes from a loader is of no use then.
    """

    shard: int
    start: int
    stop: int
    tries: int = 0
    crashes: int = 0
    copies: int = 0
    loaded: bool = False

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
        self._place = np.full((n, 3), np.nan, np.float32)
        self._places = np.full(n, None, object)
        self._settled = np.zeros(n, bool)

    def blocks(self, images: int) -> list[Block]:
        n = self.images.num_rows
        return [Block(self.number, start, min(start + images, n)) for start in range(0, n, images)]

    def addresses(self, block: Block) -> tuple[list[str], list[int | None]]:
        """Where a block's images are, and how many bytes each had when it was listed."""
        images = self.images.slice(block.start, len(block))
        return images["uri"].to_pylist(), images["size"].to_pylist()

    def audited(self, block: Block, run_id: str) -> np.ndarray:
        """Which of a block's images are audited if the screen finds them empty, (block,) bool."""
        return chosen(run_id, self.images["key"].slice(block.start, len(block)).to_pylist())

    def is_settled(self, block: Block) -> bool:
        """Whether every image of a block has its row."""
        return bool(self._settled[block.start : block.stop].all())

    def take(self, block: Block, loaded: Loaded, scored: Scored | None) -> np.ndarray:
        """Note the verdicts on a block; images that have theirs already, from another copy of the block, keep it.

        Args:
            block: as it was loaded.
            loaded: what loading found; images without pixels are settled by it.
            scored: the scores of the others; None when there are none.

        Returns:
            Rows of the block that were settled by this, as indices from its start.
        """
        score, place = np.full(len(block), np.nan, np.float32), np.full((len(block), 3), np.nan, np.float32)
        places = np.full(len(block), None, object)
        stage = np.full(len(block), None, object)
        known = np.asarray([status != OK for status in loaded.status])
        if scored is not None:
            stage[scored.row] = scored.stage
            score[scored.row], place[scored.row], places[scored.row] = scored.score, scored.place, scored.places
            known[scored.row] = True
        new = np.flatnonzero(known & ~self._settled[block.start : block.stop])
        for i in new:
            row = block.start + i
            self._status[row], self._error[row] = loaded.status[i], loaded.error[i]
            self._height[row], self._width[row] = loaded.height[i], loaded.width[i]
            self._stage[row] = stage[i]
        rows = block.start + new
        self._score[rows], self._place[rows], self._places[rows] = score[new], place[new], places[new]
        self._settled[rows] = True
        return new

    def take_crash(self, block: Block, reason: str) -> None:
        """Give up on images whose handling kills processes."""
        for row in range(block.start, block.stop):
            if not self._settled[row]:
                self._status[row], self._error[row] = UNREADABLE, reason
        self._settled[block.start : block.stop] = True

    @property
    def complete(self) -> bool:
        return bool(self._settled.all())

    def rows(self, bundle: str) -> pa.Table:
        """The shard's rows, schema `crater_ray.runs.part.SCHEMA`, in the manifest's order."""
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
            "x": pa.array(self._place[:, 0], pa.float32(), from_pandas=True),
            "y": pa.array(self._place[:, 1], pa.float32(), from_pandas=True),
            "bundle": pa.array([bundle] * n, pa.string()),
            "stage": pa.array(self._stage, pa.string()),
            "diameter": pa.array(self._place[:, 2], pa.float32(), from_pandas=True),
            "places": pa.array(self._places.tolist(), part.PLACES),
        }
        return pa.table(columns, schema=part.SCHEMA)
