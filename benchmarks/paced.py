"""A scan whose scorers take a fixed time per image, whatever the machine, and count every image that they score."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from crater_ray.scanning.scorer import Scored, Scorer

DEADLY = 97
"""An image of so many rows kills the process of the scorer that gets it."""


class PacedScorer(Scorer):
    """A scorer that waits a fixed time per image, and keeps count in a file, which outlives its process.

    On a node with the resource `slow`, it takes as many times longer as there is of it; on one with `broken`, its
    process dies before it is ready. Over an image of `DEADLY` rows it dies at once. Who disturbs a scan can hold its
    scorers after so many images each, until all that has to happen has happened: `hold`, `release`.

    Args:
        as for `Scorer`; the subclasses that `paced` makes say how long and where to count.
    """

    seconds = 0.0
    counts: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        import ray

        super().__init__(*arguments, **options)
        self._node = ray.get_runtime_context().get_node_id()
        resources = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == self._node)
        self._seconds = self.seconds * resources.get("slow", 1.0)
        self._images = 0
        self._device = threading.Lock()
        self._file: int | None = None
        if self.counts is not None:
            name = Path(self.counts, f"{self._node}-{uuid.uuid4().hex}")
            self._file = os.open(name, os.O_CREAT | os.O_WRONLY)
        if "broken" in resources:
            os._exit(1)

    def score(self, batch: Any, *arguments: Any, **options: Any) -> Scored:
        """Score a batch, image by image as far as time and count are concerned."""
        if DEADLY in batch["height"].to_numpy():
            os._exit(1)
        with self._device:
            started = time.perf_counter()
            scored = super().score(batch, *arguments, **options)
            due = started
            self._write_down()
            for _ in range(batch.num_rows):
                while self.counts is not None and self._images >= allowed(Path(self.counts)):
                    time.sleep(0.02)
                due += self._seconds
                time.sleep(max(0.0, due - time.perf_counter()))
                self._images += 1
                self._write_down()
            return replace(scored, seconds=time.perf_counter() - started)

    def _write_down(self) -> None:
        if self._file is not None:
            os.pwrite(self._file, str(self._images).encode(), 0)


def hold(counts: Path, images: int) -> None:
    """From now on, let scorers that count into this folder score so many images each, and then wait."""
    _held(counts).write_text(str(images))


def release(counts: Path) -> None:
    """Let them score all."""
    _held(counts).unlink(missing_ok=True)


def allowed(counts: Path) -> float:
    """How many images each of them may score."""
    try:
        return int(_held(counts).read_text() or 0)
    except FileNotFoundError:
        return math.inf


def _held(counts: Path) -> Path:
    return counts.with_name(f"{counts.name}-held")


def at_work(counts: Path, node: str = "") -> int:
    """How many scorers of a node, or of all nodes, have begun with a block."""
    return sum(file.stat().st_size > 0 for file in counts.glob(f"{node}*"))


def paced(device_ms: float, counts: Path | None = None) -> type[PacedScorer]:
    """A scorer class for `crater_ray.scanning.tasks`.

    Args:
        device_ms: milliseconds per image.
        counts: folder for the counts.
    """

    class Paced(PacedScorer):
        pass

    Paced.seconds = device_ms / 1000
    Paced.counts = str(counts) if counts else None
    return Paced


def scored_images(counts: Path) -> dict[str, int]:
    """Images that were scored, by id of the node, from the files that the scorers left."""
    found: dict[str, int] = {}
    for file in counts.iterdir():
        node = file.name.partition("-")[0]
        found[node] = found.get(node, 0) + int(file.read_text() or 0)
    return found


def command(device_ms: float, counts: Path, *arguments: str) -> list[str]:
    """The command line of `crater-ray ARGUMENTS` with paced scorers."""
    return [sys.executable, "-m", "benchmarks.paced", str(device_ms), str(counts), *arguments]


def main() -> None:
    """Be `crater-ray`, paced: MILLISECONDS COUNTS ARGUMENTS."""
    from crater_ray import cli

    device_ms, counts = float(sys.argv[1]), Path(sys.argv[2])
    sys.argv[1:] = sys.argv[3:]
    with patch("crater_ray.scanning.tasks.Scorer", paced(device_ms, counts)):
        cli.main()


if __name__ == "__main__":
    main()
