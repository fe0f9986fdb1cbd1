"""A run of millions of rows, made and not scanned: seconds and memory of every command that reads a run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer

from benchmarks import image_set, options
from benchmarks.record import Record
from crater_ray.errors import CraterRayError

SHARES = {"ok": 0.995, "unreadable": 0.003, "missing": 0.002}
DRIFT = 0.3
"""By how much a rescan's logits differ: their deviation."""

SAMPLE_SECONDS = 0.02

MEANING = (
    "Both runs are made: rows as a scan writes them, their scores drawn, every uri one of a few hundred images of "
    "384x512 pixels on this machine's disk. Each command runs in a process of its own. Memory: the most that this "
    "process held; its children, as Ray's workers, are not counted."
)


def large_run(
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1_000, help="Of the run.")] = 2_000_000,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Candidates in the gallery.")] = 15_000,
    distinct: options.Distinct = 300,
    json: options.Json = None,
) -> None:
    """Seconds and memory of status, verify, candidates, compare, rescan and gallery on a run of so many rows."""
    images = image_set.make(distinct)
    record = Record("large-run", {"rows": rows, "top": top}, images.describe(distinct))
    table: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="large-run-") as scratch:
        work = Path(scratch)
        linked = sorted(image_set.link(images, distinct, work / "archive").rglob("*.jpg"))
        uris = [path.absolute().as_uri() for path in linked]
        scores = drawn_scores(rows)
        started = time.perf_counter()
        made_run(work / "RUN", uris, scores, "a" * 12)
        made_seconds = time.perf_counter() - started
        again = 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + np.random.default_rng(1).normal(0, DRIFT, rows))))
        made_run(work / "AGAIN", uris, again.astype(np.float32), "b" * 12)
        cut, few = (float(np.sort(scores)[-count]) for count in (min(top, rows), min(1_000, rows // 10)))
        best = ["--where", f"score >= {few:.7f}", "--engine", "stand-in"]
        for name, arguments in {
            "status": ["status", "RUN"],
            "verify": ["verify", "RUN"],
            "candidates": ["candidates", "RUN", "--threshold", f"{cut:.7f}", "--csv", "candidates.csv"],
            "compare": ["compare", "RUN", "AGAIN", "--threshold", f"{cut:.7f}"],
            "rescan --where": ["rescan", "RUN", "--out", "R2", *best],
            "gallery": ["gallery", "RUN", "--threshold", f"{cut:.7f}", "--out", "pages"],
        }.items():
            table.append({"command": name, **timed(arguments, work)})
    record.figures = {"meaning": MEANING, "made_seconds": round(made_seconds, 1), "rows": table}
    record.write(json)
    record.show(
        f"a run of {rows:,} rows",
        ("command", "seconds", "memory, MiB"),
        [(row["command"], f"{row['seconds']:.1f}", f"{row['peak_mib']:,.0f}") for row in table],
        MEANING,
    )


def drawn_scores(rows: int) -> np.ndarray:
    """Scores as an archive has them, (rows,) float32: nearly all low, a tail of candidates."""
    rng = np.random.default_rng(0)
    logit = rng.normal(-6, 1.5, rows) + (rng.random(rows) < 0.01) * rng.uniform(2, 10, rows)
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def made_run(out: Path, uris: list[str], scores: np.ndarray, bundle: str) -> None:
    """Write a complete run with a row for each score, of images that repeat."""
    from crater_ray.runs.manifest import SCHEMA, SHARD_IMAGES, cut
    from crater_ray.storage.folder import open_folder
    from testbed.made_runs import make_run

    rows = len(scores)
    keys = [f"fm_{number:07d}" for number in range(rows)]
    addresses = [uris[number % len(uris)] for number in range(rows)]
    images = {"key": keys, "uri": addresses, "size": [40_000] * rows, "etag": [""] * rows, "shard": [0] * rows}
    listed = pa.table([pa.array(images[field.name], field.type) for field in SCHEMA], schema=SCHEMA)
    settings = {"source": uris[0].rsplit("/", 2)[0], "bundle": bundle, "shard_images": SHARD_IMAGES}
    parts = _parts(keys, addresses, scores, bundle, SHARD_IMAGES)
    make_run(open_folder(str(out)), settings, cut(listed, SHARD_IMAGES), parts)


def _parts(keys: list[str], uris: list[str], scores: np.ndarray, bundle: str, size: int) -> Iterator[pa.Table]:
    from crater_ray.runs.columns import SCHEMA

    rng = np.random.default_rng(2)
    for start in range(0, len(keys), size):
        stop = min(start + size, len(keys))
        status = rng.choice(list(SHARES), stop - start, p=list(SHARES.values()))
        sound = status == "ok"
        x, y, diameter = (rng.uniform(low, high, stop - start) for low, high in ((20, 490), (20, 360), (4, 40)))
        placed = sound & (scores[start:stop] >= 0.01)

        def known(values: np.ndarray, where: np.ndarray) -> list[Any]:
            return [value if there else None for value, there in zip(values.tolist(), where.tolist(), strict=True)]

        columns = {
            "key": keys[start:stop],
            "uri": uris[start:stop],
            "status": status.tolist(),
            "error": known(np.full(stop - start, "made so"), ~sound),
            "height": known(np.full(stop - start, 384), sound),
            "width": known(np.full(stop - start, 512), sound),
            "score": known(scores[start:stop], sound),
            "x": known(x, placed),
            "y": known(y, placed),
            "diameter": known(diameter, sound & (scores[start:stop] >= 0.5)),
            "bundle": [bundle] * (stop - start),
            "stage": known(np.full(stop - start, "full"), sound),
        }
        empty = pa.nulls(stop - start)
        arrays = [pa.array(columns[f.name], f.type) if f.name in columns else empty.cast(f.type) for f in SCHEMA]
        yield pa.table(arrays, schema=SCHEMA)


def timed(arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run a command of crater-ray; its seconds and the most memory that its process held.

    Raises:
        CraterRayError: it failed.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "crater_ray.cli", *arguments], cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _most_held(process.pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - started
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise CraterRayError(f"crater-ray {' '.join(arguments)} ended with {process.returncode}: {said[-1500:]}")
    shutil.rmtree(folder / "R2", ignore_errors=True)
    return {"seconds": round(seconds, 2), "peak_mib": round(peak / 1024)}


def _most_held(process: int) -> int:
    """The most resident memory that a process has held, KiB, as the kernel says; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
