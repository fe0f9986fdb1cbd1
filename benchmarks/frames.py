"""Frames beside site images: what a pixel of either costs, through each engine alone and in the whole scan."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.image_set import ImageSet
from benchmarks.record import Record, spread
from crater_ray.engines.base import AT_ONCE
from crater_ray.engines.registry import ENGINES
from crater_ray.errors import UsageError
from crater_ray.network.bundle import load
from crater_ray.network.stardust import TILE

FRAME = 2 * TILE[0], 2 * TILE[1]
AREA = 4
"""Site images that have a frame's pixels."""
BLOCK = 256
"""Site images of a block; as many pixels in frames fill one as well."""
LEAST_IMAGES, MOST_IMAGES = 2_048, 24_000
"""Site images of a scan, whatever the engine's rate."""
SHARD_IMAGES = 1_000
"""Site images of a part of a scan."""
BAR = 1.15

MEANING = (
    "Milliseconds for 196,608 pixels, a site image of 384x512 or a quarter of a frame of 768x1024, both with the same "
    "content and compression. Alone: blocks of pixels in memory through the scorer, two at a time as in a scan, places "
    "included, sites and frames in turns in one process. Scan: from a folder to the published rows, drained as in the "
    "benchmark `scan`, each scan in a fresh process, in turns. Ratio: what a frame's pixel costs over what a site "
    "image's does, median of the ratios of neighbouring runs; processor: the same of the process's own processor time."
)


def frames(
    bundles: Annotated[str, typer.Option("--bundles", metavar="NAME,...", help="Networks.")] = "finder,stardust",
    engines: Annotated[
        str, typer.Option("--engines", metavar="NAME,...", help="Engines; all: those that can be had here.")
    ] = "all",
    images: Annotated[int, typer.Option("--images", metavar="N", min=AREA, help="Site images of a block.")] = BLOCK,
    scan_seconds: Annotated[
        float,
        typer.Option("--scan-seconds", metavar="S", min=0, help="About so long each scan takes; 0: no scans."),
    ] = 30,
    repeats: options.Repeats = 5,
    distinct: options.Distinct = 400,
    json: options.Json = None,
) -> None:
    """Cost of a pixel in frames of 768x1024 over that in images of 384x512, for each engine alone and in a scan."""
    named = [(bundle, engine) for bundle in bundles.split(",") for engine in engines_here(engines, bundle)]
    settings: dict[str, Any] = {"bundles": bundles, "engines": engines, "images": images, "repeats": repeats}
    made = both_sizes(distinct)
    record = Record("frames", settings | {"scan_seconds": scan_seconds})
    record.images = {"sets": [one.describe(distinct) for one in made]}
    rows = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="frames-") as work:
        for bundle, engine in named:
            folder = options.bundle_folder(bundle, Path(work))
            rows.append({"bundle": bundle, "engine": engine} | measure(made, engine, folder, images, repeats))
            if scan_seconds:
                count = enough(rows[-1]["alone"], scan_seconds)
                rows[-1] |= {"scan": scans(made, engine, folder, count, repeats, Path(work)), "scan_images": count}
    record.figures = {"meaning": MEANING, "bar": BAR, "rows": rows}
    record.write(json)
    columns = ("network, engine", "", "sites, ms", "frames, ms", "ratio", "spread", "processor")
    record.show("frames beside site images", columns, table_rows(rows), MEANING)


def engines_here(names: str, bundle: str) -> list[str]:
    """The engines that are asked for, or those that can be had here of this bundle."""
    if names != "all":
        return [options.resolve_engine(name, bundle) for name in names.split(",")]
    network = None if bundle == "random" else load(bundle)
    found = []
    for entry in ENGINES.values():
        try:
            entry.check(network)
        except UsageError:
            continue
        if entry.computes and (entry.numbers != "bfloat16" or entry.quick_here()):
            found.append(entry.name)
    return found


def both_sizes(distinct: int) -> list[ImageSet]:
    """Site images and frames with the same content."""
    return [image_set.make(distinct, size, alike=True) for size in (TILE, FRAME)]


def measure(made: list[ImageSet], engine: str, bundle: Path, images: int, repeats: int) -> dict[str, Any]:
    """The engine alone: milliseconds for a site image's pixels, and the ratios."""
    files = [[str(file) for file in one.files] for one in made]
    turns = child.run(
        "benchmarks.frames:alone", engine=engine, bundle=str(bundle), files=files, images=images, repeats=repeats
    )
    return {"alone": _compared(turns["elapsed"], turns["processor"]), "device": turns["device"]}


def enough(alone: dict[str, Any], seconds: float) -> int:
    """Site images for a scan of about so many seconds with an engine that was measured alone."""
    rate = 1000 / float(alone["sites"]["median"])
    return int(min(MOST_IMAGES, max(LEAST_IMAGES, rate * seconds))) // AREA * AREA


def scans(made: list[ImageSet], engine: str, bundle: Path, images: int, repeats: int, work: Path) -> dict[str, Any]:
    """The whole scan of as many pixels in site images and in frames."""
    sources = []
    for one, count in zip(made, (images, images // AREA), strict=True):
        folder = work / f"{one.height}x{one.width}-{count}"
        sources.append(folder if folder.exists() else image_set.link(one, count, folder))
    elapsed: list[list[float]] = []
    for _ in range(repeats):
        turn = []
        for source, area in zip(sources, (1, AREA), strict=True):
            with tempfile.TemporaryDirectory(dir=work, prefix="run-") as run:
                common: dict[str, Any] = {"engine": engine, "bundle": str(bundle), "endpoint_url": None}
                common |= {"source": str(source), "out": f"{run}/run", "shard_images": SHARD_IMAGES // area}
                timed = child.run("benchmarks.scan:timed_scan", **common)
            turn.append(1000 * timed["drained_seconds"] / timed["drained_images"] / area)
        elapsed.append(turn)
    return _compared(elapsed)


def _compared(elapsed: list[list[float]], processor: list[list[float]] | None = None) -> dict[str, Any]:
    """Figures of turns, each of (sites, frames) in ms."""
    sites, frames_ = zip(*elapsed, strict=True)
    found = {"sites": spread(sites), "frames": spread(frames_), "ratio": spread([b / a for a, b in elapsed])}
    if processor:
        found["processor_ratio"] = spread([b / a for a, b in processor])
    return found


def alone(engine: str, bundle: str, files: list[list[str]], images: int, repeats: int) -> dict[str, Any]:
    """Sites and frames in turns through one scorer in this process, meant for a fresh one."""
    import numpy as np

    from crater_ray.images.decode import decode
    from crater_ray.images.pixels import pack_stack
    from crater_ray.scanning.scorer import Scorer

    network = load(bundle)
    scorer = Scorer(network, engine, network.typical_threshold)
    device = scorer.device()
    blocks = []
    for some, count in zip(files, (images, images // AREA), strict=True):
        # The same images at both sizes: close calls, which are computed again, must not differ.
        pixels = [np.asarray(decode(Path(file).read_bytes())) for file in some[: images // AREA]]
        blocks.append(pack_stack(np.stack([pixels[number % len(pixels)] for number in range(count)])))
    with ThreadPoolExecutor(AT_ONCE) as threads:

        def score(block: Any) -> None:
            list(threads.map(scorer.score, [block] * AT_ONCE))

        for block in blocks:
            score(block)
        turns = [[_timed(partial(score, block)) for block in blocks] for _ in range(repeats)]
    return {
        "device": device,
        "elapsed": [[1000 * seconds / images / AT_ONCE for seconds, _ in turn] for turn in turns],
        "processor": [[1000 * seconds / images / AT_ONCE for _, seconds in turn] for turn in turns],
    }


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    elapsed, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - elapsed, time.process_time() - processor


def table_rows(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The figures as rows of a table."""
    shown = []
    for row in rows:
        for what in ("alone", "scan"):
            if found := row.get(what):
                ratio = found["ratio"]
                processor = f"{found['processor_ratio']['median']:.2f}" if "processor_ratio" in found else ""
                middles = [f"{found[name]['median']:.2f}" for name in ("sites", "frames", "ratio")]
                spread_ = f"{ratio['min']:.2f}-{ratio['max']:.2f}"
                shown.append((f"{row['bundle']}, {row['engine']}", what, *middles, spread_, processor))
    return shown
