"""What the foil search's own site is given: keys, and calibration images in its layout."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.runs.run import Run
from crater_ray.volunteers.foil_search import key_of
from tests.conftest import Cli
from tests.volunteers.conftest import CANDIDATES


@pytest.mark.slow
def test_keys_and_calibration_images(foil_run: Run, tmp_path: Path, cli: Cli) -> None:
    answer = cli("export", "foil-search", foil_run.folder.uri, tmp_path / "out", "--calibration", "5")
    assert answer.returncode == 0, answer.stderr
    keys = (tmp_path / "out/keys.txt").read_text().splitlines()
    assert keys == [f"foil{number % 2}/k{number:02d}" for number in range(CANDIDATES)]
    with (tmp_path / "out/calibration.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and all(row["tech"] == "1" for row in rows)
    names = {path.relative_to(tmp_path / "out/calibration").as_posix() for path in tmp_path.rglob("*.jpg")}
    assert names == {f"{row['key']}/{row['key']}-001.jpg" for row in rows}
    for row in rows:
        path = tmp_path / "out/calibration" / row["key"] / f"{row['key']}-001.jpg"
        with Image.open(path) as image:
            pixels = np.asarray(image)
        assert image.mode == "L" and pixels.shape[0] <= 384 and pixels.shape[1] <= 512
        at = [float(row[name]) for name in "xy"]
        assert 0 < at[0] < pixels.shape[1] and 0 < at[1] < pixels.shape[0]
        number = int(row["made_of"].rpartition("k")[2])
        with Image.open(Path(foil_run.folder.uri).parent / f"archive/{number}.jpg") as whole:
            before = np.asarray(whole, float)[int(row["top"]) :, int(row["left"]) :]
        change = np.abs(pixels - before[: pixels.shape[0], : pixels.shape[1]])
        half = int(float(row["diameter"]) / 2 + 3)
        near = change[max(0, int(at[1]) - half) : int(at[1]) + half, max(0, int(at[0]) - half) : int(at[0]) + half]
        assert near.max() == change.max() and near.mean() > 3 * change.mean()


def test_keys_tell_nothing() -> None:
    keys = {key_of(f"run 0 {number}") for number in range(1000)}
    assert len(keys) == 1000
    assert all(len(key) == 23 and key[3:].isalnum() for key in keys)
