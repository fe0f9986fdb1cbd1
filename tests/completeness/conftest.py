"""A scanned archive of simulated foil, and its completeness, measured once for the tests that read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from crater_ray.completeness.measure import measure
from crater_ray.completeness.settings import Measurement
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.simulate import simulate_frame

IMAGES = 24
PLANTED = 40
"""More than there are images: some get two craters, one at a time."""


def make_foils(folder: Path) -> None:
    """24 images of two foils, a third of them with a crater, one of them empty."""
    for number in range(IMAGES):
        rng = np.random.default_rng([5, number])
        frame = simulate_frame(rng, (160, 200), (18.0,) if number % 3 == 0 else ())
        path = folder / ("first" if number < 16 else "second") / f"image{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame.pixels).save(path, quality=frame.jpeg_quality)
    (folder / "second" / "empty.jpg").write_bytes(b"")


def told(run: Path | str, **more: object) -> Measurement:
    """A measurement with clear craters, so that the network finds some."""
    settings: dict[str, object] = {"images": PLANTED, "diameters": (4.0, 30.0), "strengths": (0.6, 2.0)}
    return Measurement(str(run), **(settings | more))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def scanned(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, before its completeness is measured."""
    folder = tmp_path_factory.mktemp("completeness")
    make_foils(folder / "archive")
    settings = ScanSettings(str(folder / "archive"), str(folder / "run"), engine="openvino", shard_images=10)
    assert scan(settings, Console(quiet=True)).failed == {}
    return folder / "run"


@pytest.fixture(scope="session")
def measured_run(scanned: Path) -> Path:
    """The run, with its completeness measured."""
    with open_existing(scanned) as run:
        assert measure(run, told(scanned), Console(quiet=True)).failed == {}
    return scanned
