"""Look-alikes of one candidate among many: how long until the answer is there, features read from the run's folder."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from benchmarks import options
from benchmarks.record import Record, spread

MEANING = (
    "A run of so many candidates whose features (of the width that the network gives) are random and are kept already. "
    "Answer: from the opened run to the 20 most alike, with the file of features read from disk each time. Search: the "
    "same without reading. Making features is not in it: some 10 ms of a core for each candidate, once."
)


def similar(
    candidates: Annotated[int, typer.Option("--candidates", metavar="N", min=2, help="How many.")] = 15_000,
    bundle: options.BundleName = "default",
    repeats: options.Repeats = 9,
    json: options.Json = None,
) -> None:
    """Seconds until the look-alikes of one candidate among many are there."""
    from crater_ray.engines.features import SIDE, FeatureMaker
    from crater_ray.network.bundle import load
    from crater_ray.results.similar.describe import describe
    from crater_ray.results.similar.kept import COLUMNS, file_of, matrix, with_features, write_features
    from crater_ray.results.similar.look_alikes import LookAlikes
    from crater_ray.results.similar.search import similar as look_alikes
    from crater_ray.runs import run as runs
    from crater_ray.runs.columns import SCHEMA
    from crater_ray.storage.access import Access
    from crater_ray.storage.folder import open_folder

    rng = np.random.default_rng(0)
    record = Record("similar", {"candidates": candidates, "bundle": bundle, "repeats": repeats})
    with tempfile.TemporaryDirectory(prefix="similar-") as scratch:
        network = load(options.bundle_folder(bundle, Path(scratch)))
        wide = FeatureMaker(network).of(np.zeros((1, SIDE, SIDE), np.uint8)).shape[1]
        settings = {"threshold": 0.5, "bundle": network.id}
        run = runs.create(open_folder(Path(scratch) / "run"), settings, {})
        keys = pa.array([f"fm_{number:06d}_-69214" for number in range(candidates)])
        scores = np.sort(rng.uniform(0.5, 1, candidates))[::-1].astype(np.float32)
        empty = {name: pa.nulls(candidates, SCHEMA.field(name).type) for name in COLUMNS}
        place = pa.array(rng.uniform(0, 384, candidates).astype(np.float32))
        rows = pa.table(empty | {"key": keys, "uri": keys, "score": scores, "x": place, "y": place})
        features = rng.exponential(1, (candidates, wide)).astype(np.float32)
        write_features(run, network, with_features(rows, features), 0.5, parts=0)
        answers, searches = [], []
        for place_of in rng.integers(0, candidates, repeats):
            key = keys[int(place_of)].as_py()
            started = time.perf_counter()
            described = describe(run, Access(), network)
            found = look_alikes(described, key, 20)
            answers.append(time.perf_counter() - started)
            started = time.perf_counter()
            LookAlikes.of(matrix(described.table)).nearest(int(place_of), 20)
            searches.append(time.perf_counter() - started)
            assert found.num_rows == min(20, candidates - 1)
        size = len(run.folder.read(file_of(network)))
    figures = {"answer_seconds": spread(answers), "search_seconds": spread(searches)}
    record.figures = {"meaning": MEANING, "wide": wide, "file_mb": round(size / 1e6, 2), **figures}
    record.write(json)
    lines = [
        (name.replace("_", " "), *(f"{one[part]:.3f}" for part in ("median", "min", "max")))
        for name, one in figures.items()
    ]
    record.show(f"look-alikes among {candidates:,} candidates", ("", "median", "min", "max"), lines, MEANING)
