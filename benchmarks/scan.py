"""End to end: the real scan against a plain loop, in turns, on the same images, cores and server."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.environment import cores
from benchmarks.image_set import ImageSet
from benchmarks.record import Record, spread
from crater_ray.scanning.pool import QUEUE
from testbed.local_s3 import LocalS3, serving

HEAD_START_BLOCKS = cores() + 2 + QUEUE
"""So many blocks may have been loaded while the scorer was still starting: one per core and two per scorer, and those
that the scorer holds."""

MEANING = (
    "Images a second in steady state. Scan: images settled after the first settled block, over the time from then "
    "until the last part is published. Loop: images after the first batch, over the time from its end to the end. "
    "Ratio: median of the ratios of neighbouring runs. Drained: the same ratio with the scan counted only from when "
    "all blocks that were loaded during start-up have been settled (at the latest from half of the images on)."
)


def scan(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Images of a run.")] = 6_000,
    repeats: options.Repeats = 3,
    engine: options.Engine = "auto",
    bundle: options.BundleName = "default",
    sizes: Annotated[str, typer.Option("--sizes", metavar="HxW,...", help="Image sizes in pixels.")] = "384x512",
    sources: options.Sources = "s3,local",
    distinct: options.Distinct = 400,
    shard_images: Annotated[int, typer.Option("--shard-images", metavar="N", help="Images per part.")] = 1_000,
    json: options.Json = None,
) -> None:
    """The whole scan against a plain single-process loop: images a second, and their ratio."""
    parsed = image_set.parse_sizes(sizes)
    named = options.parse_sources(sources)
    engine = options.resolve_engine(engine, bundle)
    settings = {"images": images, "repeats": repeats, "engine": engine, "sizes": sizes, "sources": sources}
    settings |= {"bundle": bundle, "shard_images": shard_images}
    record = Record("scan", settings)
    sets = [image_set.make(min(distinct, images), size) for size in parsed]
    record.images = {"sets": [made.describe(images) for made in sets]}
    rows = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="scan-") as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(serving()) if "s3" in named else None
        network = options.bundle_folder(bundle, Path(work))
        for made in sets:
            for source in named:
                where = lay_out(made, images, source, server, Path(work))
                rows.append(compare(where, made, repeats, engine, network, shard_images, server, Path(work)))
                rows[-1]["source"] = source
    record.figures = {"meaning": MEANING, "rows": rows}
    record.write(json)
    record.show(
        f"scan and plain loop, {engine}, {images:,} images",
        ("source", "image", "scan /s", "loop /s", "ratio", "spread", "drained"),
        [_row(row) for row in rows],
        MEANING,
    )


def lay_out(
    made: ImageSet, images: int, source: str, server: LocalS3 | None, work: Path, prefix: str = "images"
) -> str:
    """Put the images where they will be read from; returns the address."""
    name = f"{prefix}-{made.height}x{made.width}"
    if server is not None and source == "s3":
        return image_set.upload(made, images, server, name)
    return str(image_set.link(made, images, work / name))


def compare(
    source: str,
    made: ImageSet,
    repeats: int,
    engine: str,
    bundle: Path,
    shard_images: int,
    server: LocalS3 | None,
    work: Path,
) -> dict[str, Any]:
    """Scan and loop in turns.

    Args:
        source: address of the images.
        made: what they are.
        repeats: how often each.
        engine, bundle, shard_images: as for the scan.
        server: the S3 server, if one is in use.
        work: a folder for runs and lists.

    Returns:
        A row of the benchmark's figures: rates with spread, and ratios of neighbouring runs.
    """
    endpoint = server.endpoint_url if server else None
    common: dict[str, Any] = {"engine": engine, "bundle": str(bundle), "endpoint_url": endpoint}
    scans, loops = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory(dir=work, prefix="run-") as run:
            timed = child.run(
                "benchmarks.scan:timed_scan", source=source, out=f"{run}/run", shard_images=shard_images, **common
            )
            scans.append(timed)
            listing = Path(run, "images.txt")
            listing.write_text(_addresses(Path(run, "run")), encoding="utf-8")
            loops.append(child.run("benchmarks.plain_loop:timed_loop", listing=str(listing), **common))
    rates = [run["images"] / run["seconds"] for run in scans]
    drained = [run["drained_images"] / run["drained_seconds"] for run in scans]
    plain = [run["images"] / run["seconds"] for run in loops]
    return {
        "height": made.height,
        "width": made.width,
        "scan": spread(rates),
        "scan_drained": spread(drained),
        "loop": spread(plain),
        "ratio": spread([a / b for a, b in zip(rates, plain, strict=True)]),
        "ratio_drained": spread([a / b for a, b in zip(drained, plain, strict=True)]),
        "loop_batch": loops[0]["batch"],
        "device": scans[0]["device"],
        "decided_by": scans[0]["decided_by"],
        "whole_scan_seconds": spread([run["whole_seconds"] for run in scans]),
        "first_result_seconds": spread([run["first_result_seconds"] for run in scans]),
        "counted_images": {"scan": scans[0]["images"], "loop": loops[0]["images"]},
        # The loop pads and batches otherwise than the scan: equal to rounding, or something else was computed.
        "scores_sum": {"scan": scans[0]["scores_sum"], "loop": loops[0]["scores_sum"]},
    }


def timed_scan(
    source: str, out: str, engine: str, bundle: str, shard_images: int, endpoint_url: str | None
) -> dict[str, Any]:
    """One scan in this process, meant for a fresh one: images and seconds of steady state, and more for the record."""
    import numpy as np

    from benchmarks.timeline import observe
    from crater_ray.runs.run import open_existing
    from crater_ray.scanning.loader import BLOCK_IMAGES
    from crater_ray.settings import ScanSettings
    from crater_ray.storage.access import Access

    access = Access(endpoint_url, anonymous=True) if source.startswith("s3://") else Access()
    name, screened = options.split_engine(engine)
    settings = ScanSettings(source, out, Path(bundle), access, engine=name, screen=screened, shard_images=shard_images)
    seen = observe(settings)
    counted, seconds = seen.after(1)
    drained, drained_seconds = seen.after(max(1, min(HEAD_START_BLOCKS * BLOCK_IMAGES, seen.timeline.done // 2)))
    stages: Counter[str] = Counter()
    total = 0.0
    with open_existing(out, Access()) as run:
        for rows in run.parts():
            total += float(np.nansum(rows["score"].to_numpy()))
            stages.update(rows["stage"].to_pylist())
        devices = run.record["sessions"][-1]["devices"]
    return {
        "images": counted,
        "seconds": seconds,
        "drained_images": drained,
        "drained_seconds": drained_seconds,
        "whole_seconds": seen.outcome.seconds,
        "first_result_seconds": seen.outcome.first_result_seconds,
        "scores_sum": total,
        "device": ", ".join(devices),
        "decided_by": dict(stages),
    }


def _addresses(run: Path) -> str:
    """What the scan's manifest lists, in its order, one address a line."""
    import pyarrow.parquet as pq

    from crater_ray.storage.local import local_path

    uris = pq.read_table(run / "manifest.parquet", columns=["uri"])["uri"].to_pylist()
    return "\n".join(uri if uri.startswith("s3://") else local_path(uri).decode() for uri in uris)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    def middle(name: str, digits: int) -> str:
        return f"{row[name]['median']:,.{digits}f}"

    ratio = row["ratio"]
    return (
        row["source"],
        f"{row['height']}x{row['width']}",
        middle("scan", 1),
        middle("loop", 1),
        middle("ratio", 3),
        f"{ratio['min']:.3f}-{ratio['max']:.3f}",
        middle("ratio_drained", 3),
    )
