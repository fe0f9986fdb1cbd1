"""Scorers added on a local cluster of several nodes: how much of each is used, and what the driver costs per image."""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record, spread
from crater_ray.errors import UsageError
from crater_ray.scanning.scorer import Scored, Scorer

MEANING = (
    "Each scorer waits a fixed time per image instead of computing; everything else is the real scan, on a Ray cluster "
    "of several nodes on this machine. Efficiency: of the time between the end of a scorer's first block and the end "
    "of its last, the share that its device worked, all scorers together. `whole`: images a second over scorers / "
    "device time, from the moment when as many blocks as there are scorers were settled until the last was, when some "
    "scorers have nothing left to do. Driver: its processor milliseconds per image over that time."
)


class WaitingScorer(Scorer):
    """A scorer that takes a fixed time per image, whatever the machine.

    Args:
        as for `Scorer`; the engine's name ends with the milliseconds per image and a folder, as in
            `stand-in@40@/tmp/notes`: it writes there what it did when.
    """

    def __init__(self, bundle: Any, engine: str, *arguments: Any) -> None:
        name, milliseconds, notes = engine.split("@", 2)
        super().__init__(bundle, name, *arguments)
        self._seconds = float(milliseconds) / 1000
        self._notes = Path(notes, f"{os.uname().nodename}-{os.getpid()}")
        self._device = threading.Lock()

    def score(self, batch: Any, audited: Any = None) -> Scored:
        with self._device:
            due = time.perf_counter() + batch.num_rows * self._seconds
            scored = super().score(batch, audited)
            time.sleep(max(0.0, due - time.perf_counter()))
            with self._notes.open("a", encoding="utf-8") as notes:
                notes.write(f"{time.monotonic()} {batch.num_rows * self._seconds}\n")
        return scored


def used(notes: Path, scorers: int) -> float:
    """The share of their time that the devices of so many scorers worked, from what these noted.

    Raises:
        UsageError: a scorer had fewer than two blocks.
    """
    worked = elapsed = 0.0
    files = list(notes.iterdir())
    if len(files) != scorers:
        raise UsageError(f"Of {scorers} scorers {len(files)} had a block; give more --blocks.")
    for file in files:
        ended, device = np.loadtxt(file, ndmin=2).T
        if len(ended) < 2:
            raise UsageError("A scorer had one block only; give more --blocks.")
        worked += float(device[1:].sum())
        elapsed += float(ended[-1] - ended[0])
    return worked / elapsed


def scale(
    scorers: Annotated[str, typer.Option("--scorers", metavar="N,...", help="How many, one run each.")] = "1,2,4,8,16",
    device_ms: Annotated[
        float, typer.Option("--device-ms", metavar="MS", min=0.1, help="Simulated device time per image.")
    ] = 40.0,
    blocks: Annotated[int, typer.Option("--blocks", metavar="N", min=3, help="Blocks of images for each scorer.")] = 20,
    per_node: Annotated[int, typer.Option("--per-node", metavar="N", min=1, help="Scorers on a node.")] = 4,
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Image size in pixels.")] = "384x512",
    repeats: options.Repeats = 3,
    distinct: options.Distinct = 200,
    json: options.Json = None,
) -> None:
    """Efficiency and driver cost from 1 to 16 scorers with a fixed simulated device time."""
    from crater_ray.scanning.loader import BLOCK_IMAGES

    try:
        counts = [int(count) for count in scorers.split(",")]
    except ValueError:
        raise UsageError(f"--scorers must be numbers with commas; received: {scorers!r}") from None
    most = max(counts) * blocks * BLOCK_IMAGES
    made = image_set.make(min(distinct, most), image_set.parse_sizes(size)[0])
    settings = {"scorers": counts, "device_ms": device_ms, "blocks": blocks, "per_node": per_node, "repeats": repeats}
    record = Record("scale", settings, made.describe(most))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="scale-") as work:
        network = options.bundle_folder("random", Path(work))
        source = image_set.link(made, most, Path(work, "images"))
        common: dict[str, Any] = {
            "source": str(source),
            "bundle": str(network),
            "device_ms": device_ms,
            "per_node": per_node,
        }
        for count in counts:
            runs = []
            for repeat in range(repeats):
                out = str(Path(work, f"run-{count}-{repeat}"))
                images = count * blocks * BLOCK_IMAGES
                runs.append(child.run("benchmarks.scale:one", scorers=count, images=images, out=out, **common))
            rows.append(
                {
                    "scorers": count,
                    "nodes": math.ceil(count / per_node),
                    "ideal_images_a_second": 1000 * count / device_ms,
                    **{name: spread([run[name] for run in runs]) for name in runs[0]},
                }
            )
    record.figures = {"meaning": MEANING, "rows": rows}
    record.write(json)
    record.show(
        f"scorers that take {device_ms:g} ms an image",
        ("scorers", "nodes", "ideal /s", "images /s", "efficiency", "whole", "driver ms"),
        [
            (
                str(row["scorers"]),
                str(row["nodes"]),
                f"{row['ideal_images_a_second']:,.0f}",
                f"{row['images_a_second']['median']:,.1f}",
                f"{100 * row['efficiency']['median']:.1f}%",
                f"{100 * row['whole_efficiency']['median']:.1f}%",
                f"{row['driver_ms_per_image']['median']:.3f}",
            )
            for row in rows
        ],
        MEANING,
    )


def one(
    scorers: int, images: int, source: str, out: str, bundle: str, device_ms: float, per_node: int
) -> dict[str, float]:
    """One scan on a cluster with so many scorers, in this process; meant for a fresh one."""
    import ray
    from ray.cluster_utils import Cluster

    from benchmarks.timeline import observe
    from crater_ray.runs.manifest import Selection
    from crater_ray.settings import ScanSettings

    cluster = Cluster()
    left = scorers
    try:
        while left > 0:
            # Each scorer's place is a GPU that is none; loaders share the cores that the nodes claim to have.
            cluster.add_node(num_cpus=1, num_gpus=min(left, per_node), include_dashboard=False)
            left -= per_node
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False)
        settings = ScanSettings(source, out, Path(bundle), selection=Selection(limit=images), engine="stand-in")
        notes = Path(f"{out}-notes")
        notes.mkdir()
        seen = observe(settings, Scorer=_waiting(device_ms, notes))
    finally:
        ray.shutdown()
        cluster.shutdown()
    settles = seen.timeline.settles
    begin, last = settles[scorers - 1], settles[-1]
    ideal = 1000 * scorers / device_ms
    efficiency, whole = used(notes, scorers), (last[1] - begin[1]) / (last[0] - begin[0])
    return {
        "images_a_second": efficiency * ideal,
        "efficiency": efficiency,
        "whole_efficiency": whole / ideal,
        "driver_ms_per_image": 1000 * (last[2] - begin[2]) / (last[1] - begin[1]),
    }


def _waiting(device_ms: float, notes: Path) -> type[WaitingScorer]:
    class Waiting(WaitingScorer):
        def __init__(self, bundle: Any, engine: str, *arguments: Any) -> None:
            super().__init__(bundle, f"{engine}@{device_ms}@{notes}", *arguments)

    return Waiting
