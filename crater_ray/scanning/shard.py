"""A shard being worked on: the verdicts gathered so far, until they make a part."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from crater_ray.images.status import OK, UNREADABLE
from crater_ray.runs.audit import chosen
from crater_ray.runs.columns import SCHEMA, given_by
from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.scorer import Scored

FROM_LOADER, FROM_SCORER = given_by("loader"), given_by("scorer")


@dataclass
class Block:
    """Some consecutive images of a shard, loaded and scored together.

    Attributes:
        shard: the shard's number.
        start, stop: its rows in the shard.
        tries: how often loading or scoring it ended in an error.
        crashes: how often a process died over it.
        copies: how many of it are in flight, from being given to a loader until its verdicts are in.
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
    _values: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        n = self.images.num_rows
        self._values = {column.name: column.empty(n) for column in FROM_LOADER + FROM_SCORER}
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
        known = np.asarray([status != OK for status in loaded.status])
        values = {column.name: column.held(loaded.values[column.name]) for column in FROM_LOADER}
        if scored is not None:
            known[scored.row] = True
            for column in FROM_SCORER:
                values[column.name] = column.empty(len(block))
                values[column.name][scored.row] = scored.values[column.name]
            _move(values, loaded.origins)
        new = np.flatnonzero(known & ~self._settled[block.start : block.stop])
        rows = block.start + new
        for name, some in values.items():
            self._values[name][rows] = some[new]
        self._settled[rows] = True
        return new

    def take_crash(self, block: Block, reason: str) -> None:
        """Give up on images whose handling kills processes."""
        rows = block.start + np.flatnonzero(~self._settled[block.start : block.stop])
        self._values["status"][rows], self._values["error"][rows] = UNREADABLE, reason
        self._settled[rows] = True

    @property
    def complete(self) -> bool:
        return bool(self._settled.all())

    def rows(self, bundle: str) -> pa.Table:
        """The shard's rows, schema `crater_ray.runs.columns.SCHEMA`, in the manifest's order."""
        arrays = {column.name: self.images[column.name] for column in given_by("manifest")}
        arrays |= {column.name: column.array(self._values[column.name]) for column in FROM_LOADER + FROM_SCORER}
        arrays["bundle"] = pa.array([bundle] * self.images.num_rows, pa.string())
        return pa.table(arrays, schema=SCHEMA)


def _move(values: dict[str, np.ndarray], origins: list[tuple[int, int]]) -> None:
    """Count places from the file's first pixel, not from that of the part that was looked at."""
    left, top = np.asarray(origins, np.float32).T
    values["x"] += left
    values["y"] += top
    for row in np.flatnonzero((left != 0) | (top != 0)):
        if places := values["places"][row]:
            moved = [one | {"x": one["x"] + float(left[row]), "y": one["y"] + float(top[row])} for one in places]
            values["places"][row] = moved
