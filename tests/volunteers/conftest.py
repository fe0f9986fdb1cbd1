"""A run over simulated foil, made without a scan, whose images can hold gold standards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crater_ray.runs.run import Run
from crater_ray.simulate import simulate_frame
from tests.made_runs import make_run, row

IMAGES, CANDIDATES = 40, 12


def make_foil_run(folder: Path, images: int = IMAGES, candidates: int = CANDIDATES) -> Run:
    """Images of two foils; the first ones are candidates, every third of them without a place."""
    rows = []
    for number in range(images):
        rng = np.random.default_rng([3, number])
        frame = simulate_frame(rng, (400, 540) if number % 5 == 0 else (160, 200), ())
        path = folder / "archive" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame.pixels).save(path, quality=frame.jpeg_quality)
        candidate = number < candidates
        size: dict[str, Any] = {"height": frame.pixels.shape[0], "width": frame.pixels.shape[1]}
        place = {"x": 60.0 + number, "y": 50.0, "diameter": 12.0} if candidate and number % 3 else {}
        score = 0.99 - number / 100 if candidate else number / 1000
        rows.append(row(f"foil{number % 2}/k{number:02d}", score, uri=path.as_uri(), page=1, **size, **place))
    return make_run(folder / "run", [*rows, row("bad", None)], threshold=0.5, shard_images=16)


@pytest.fixture(scope="module")
def foil_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_foil_run(tmp_path_factory.mktemp("volunteers"))
