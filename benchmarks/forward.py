"""The bare network: images a second by batch size, and the share of the device's matrix-multiply rate."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.arithmetic import matrix_rate, multiply_adds
from benchmarks.record import Record, spread
from crater_ray.engines.registry import find
from crater_ray.errors import UsageError
from crater_ray.network.stardust import FILTERS

MEANING = (
    "Images a second of the engine alone, pixels in memory, after one call to warm up. Share: arithmetic done (two "
    "operations per multiply-add, inactive filters not counted) over that of the best square matrix multiplication in "
    "the same number type, measured in the same process."
)


def forward(
    engines: Annotated[str, typer.Option("--engines", metavar="NAME,...", help="Engines to measure.")] = "auto",
    batches: Annotated[
        str, typer.Option("--batches", metavar="N,...", help="Images per call; 0: the engine's own.")
    ] = "1,2,4,8,16,32,0",
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Image size in pixels.")] = "384x512",
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", min=0.01, help="To measure each for.")] = 5.0,
    repeats: options.Repeats = 3,
    bundle: options.BundleName = "default",
    json: options.Json = None,
) -> None:
    """The bare engine by batch size, and its share of the device's matrix-multiply rate."""
    names = [options.resolve_engine(name, bundle) for name in engines.split(",")]
    if unknown := [name for name in names if not find(name).computes]:
        raise UsageError(f"--engines must be ones that compute the network; received: {', '.join(unknown)}")
    try:
        counts = [int(count) for count in batches.split(",")]
    except ValueError:
        raise UsageError(f"--batches must be numbers with commas; received: {batches!r}") from None
    height, width = image_set.parse_sizes(size)[0]
    settings = {"engines": names, "batches": counts, "size": size, "seconds": seconds, "repeats": repeats}
    record = Record("forward", {**settings, "bundle": bundle}, {"kind": "uniform noise", "height": height})
    rows: list[dict[str, Any]] = []
    filters = FILTERS
    with tempfile.TemporaryDirectory(prefix="crater-ray-forward-") as work:
        network = str(options.bundle_folder(bundle, Path(work)))
        for name in names:
            common = {"height": height, "width": width, "seconds": seconds, "bundle": network}
            runs = [
                child.run("benchmarks.forward:rates", engine=name, batches=counts, **common) for _ in range(repeats)
            ]
            filters = tuple(runs[0]["filters"])
            rows += _rows(name, runs, counts, multiply_adds(height, width, filters))
    record.figures = {
        "meaning": MEANING,
        "filters": filters,
        "multiply_adds_per_image": multiply_adds(height, width, filters),
        "multiply_adds_with_idle_filters": multiply_adds(height, width),
        "rows": rows,
    }
    record.write(json)
    record.show(
        f"forward alone, {height}x{width} pixels",
        ("engine", "batch", "images /s", "spread", "images/min", "GFLOP/s", "matmul", "share"),
        [
            (
                row["engine"],
                str(row["batch"] or "own"),
                f"{row['images_a_second']['median']:,.1f}",
                f"{row['images_a_second']['min']:,.1f}-{row['images_a_second']['max']:,.1f}",
                f"{60 * row['images_a_second']['median']:,.0f}",
                f"{row['operations_a_second']['median'] / 1e9:,.0f}",
                f"{row['matrix_operations_a_second']['median'] / 1e9:,.0f}",
                f"{100 * row['share']['median']:.0f}%",
            )
            for row in rows
        ],
        MEANING,
    )


def _rows(name: str, runs: list[dict[str, Any]], counts: list[int], arithmetic: int) -> list[dict[str, Any]]:
    work = 2 * arithmetic
    matrix = [run["matrix_rate"] for run in runs]
    rows = []
    for number, count in enumerate(counts):
        rates = [run["rates"][number] for run in runs]
        rows.append(
            {
                "engine": name,
                "device": runs[0]["device"],
                "numbers": find(name).numbers,
                "batch": count,
                "images_a_second": spread(rates),
                "operations_a_second": spread([rate * work for rate in rates]),
                "matrix_operations_a_second": spread(matrix),
                "share": spread([rate * work / best for rate, best in zip(rates, matrix, strict=True)]),
            }
        )
    return rows


def rates(engine: str, batches: list[int], height: int, width: int, seconds: float, bundle: str) -> dict[str, Any]:
    """Measure one engine in this process; meant for a fresh one. Images a second for each batch size."""
    import numpy as np

    from crater_ray.engines.registry import create
    from crater_ray.network.bundle import load
    from crater_ray.network.pruning import drop_inactive, filter_counts

    network = load(bundle)
    made = create(engine, network)
    own: int = getattr(made, "batch", 8)
    rng = np.random.default_rng(0)
    measured = []
    for count in batches:
        images = rng.integers(0, 256, (count or 4 * own, height, width), np.uint8)
        if hasattr(made, "batch"):
            made.batch = count or own
        measured.append(len(images) / seconds_per_call(lambda images=images: made.score(images), seconds))  # type: ignore[misc]
    rate = matrix_rate(find(engine).package or "keras", find(engine).numbers, min(seconds, 2.0))
    return {
        "rates": measured,
        "matrix_rate": rate,
        "device": made.device,
        "filters": filter_counts(drop_inactive(network.weights)),
    }


def seconds_per_call(call: Any, seconds: float) -> float:
    """Mean seconds of a call over at least so many seconds and three calls, after one to warm up."""
    call()
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or count < 3:
        call()
        count += 1
    return elapsed / count
