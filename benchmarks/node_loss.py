"""A node lost in mid-run: how long the scan takes from there, beside what the nodes that are left would need."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options, paced
from benchmarks.record import Record, spread

MEANING = (
    "Scan on a local cluster of nodes with one scorer each, which takes a fixed time per image. One node is killed "
    "(SIGKILL) at a share of the parts. Taken: seconds from the kill until the last part is published. Needed: images "
    "not settled at the kill x device time / nodes left. The ratio holds all: noticing, what was lost, the end."
)


def node_loss(
    images: Annotated[int, typer.Option("--images", metavar="N", min=128, help="Images of the run.")] = 6_000,
    nodes: Annotated[int, typer.Option("--nodes", metavar="N", min=2, help="Of which one is killed.")] = 3,
    device_ms: Annotated[
        float, typer.Option("--device-ms", metavar="MS", min=0.1, help="Simulated device time per image.")
    ] = 40.0,
    at: Annotated[float, typer.Option("--at", metavar="SHARE", min=0, max=0.9, help="Share of parts at the kill.")] = (
        1 / 3
    ),
    shard_images: Annotated[int, typer.Option("--shard-images", metavar="N", min=1, help="Images per part.")] = 100,
    repeats: options.Repeats = 1,
    distinct: options.Distinct = 40,
    json: options.Json = None,
) -> None:
    """Kill one of three nodes in mid-run and time the rest against the two that remain."""
    made = image_set.make(min(distinct, images), (96, 96))
    settings = {"nodes": nodes, "device_ms": device_ms, "at": at, "shard_images": shard_images, "repeats": repeats}
    record = Record("node-loss", settings, made.describe(images))
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="node-loss-") as work:
        source = image_set.link(made, images, Path(work, "images"))
        for repeat in range(repeats):
            arguments = {"source": str(source), "out": str(Path(work, f"run-{repeat}")), "shard_images": shard_images}
            kill_at = round(at * images / shard_images)
            runs.append(
                child.run("benchmarks.node_loss:one", nodes=nodes, device_ms=device_ms, kill_at=kill_at, **arguments)
            )
    ratio = spread([run["ratio"] for run in runs])
    record.figures = {"meaning": MEANING, "runs": runs, "ratio": ratio}
    record.write(json)
    record.show(
        f"{images:,} images, {nodes} nodes of which one is killed",
        ("settled at the kill", "left", "taken s", "needed s", "ratio", "scored again"),
        [
            (
                f"{run['settled']:,}",
                f"{run['left']:,}",
                f"{run['taken_s']:.1f}",
                f"{run['needed_s']:.1f}",
                f"{run['ratio']:.2f}",
                f"{run['scored_again']:,}",
            )
            for run in runs
        ],
        MEANING,
    )


def one(source: str, out: str, shard_images: int, nodes: int, device_ms: float, kill_at: int) -> dict[str, float]:
    """One scan that loses a node once so many parts are published; meant for a fresh process."""
    from benchmarks.timeline import observe
    from crater_ray.settings import ScanSettings
    from testbed.local_cluster import clustered

    killed: list[float] = []
    counts = Path(out + "-counts")
    counts.mkdir()
    with clustered() as cluster:
        for _ in range(nodes):
            cluster.add_node()

        def kill() -> None:
            parts = Path(out, "parts")
            while not parts.is_dir() or sum(1 for _ in parts.glob("part-*.parquet")) < kill_at:
                time.sleep(0.05)
            killed.append(time.monotonic())
            cluster.kill_node(cluster.nodes[-1])

        threading.Thread(target=kill, daemon=True).start()
        settings = ScanSettings(source, out, engine="stand-in", shard_images=shard_images, address=cluster.address)
        seen = observe(settings, Scorer=paced.paced(device_ms, counts))
    if not killed:
        raise RuntimeError("the scan ended before the node was killed")
    settled = max((done for moment, done, _ in seen.timeline.settles if moment <= killed[0]), default=0)
    left = seen.timeline.done - settled
    needed = left * device_ms / 1000 / (nodes - 1)
    taken = seen.published - killed[0]
    return {
        "settled": settled,
        "left": left,
        "taken_s": round(taken, 2),
        "needed_s": round(needed, 2),
        "ratio": round(taken / needed, 3),
        "scored_again": sum(paced.scored_images(counts).values()) - seen.timeline.done,
    }
