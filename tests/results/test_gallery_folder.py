"""The gallery's folder: what it holds, what it replaces, and what it is counted from."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.results.gallery.distribution import distribution, from_axis, to_axis
from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli
from tests.made_runs import make_run, row


def small_run(folder: Path) -> Run:
    Image.new("L", (120, 100), 80).save(folder / "one.jpg")
    return make_run(folder / "run", [row("k", 0.9, uri=(folder / "one.jpg").as_uri()), row("gone", 0.8)])


def test_a_gallery_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    written = write_gallery(run, tmp_path / "pages", Access())
    assert list(written.problems.values()) == [1]
    (tmp_path / "pages/images/0000/77.jpg").write_bytes(b"old")
    write_gallery(run, tmp_path / "pages", Access())
    assert not (tmp_path / "pages/images/0000/77.jpg").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("dear")
    with pytest.raises(UsageError, match="something else"):
        write_gallery(run, tmp_path / "mine", Access())
    with pytest.raises(UsageError, match="something else"):
        write_gallery(run, tmp_path / "one.jpg", Access())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "one.jpg", "pages", "run"]


def test_what_people_put_beside_the_pages_stays(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    write_gallery(run, tmp_path / "pages", Access())
    (tmp_path / "pages/verdicts-Jo.json").write_text("{}")
    (tmp_path / "pages/mine").mkdir()
    (tmp_path / "pages/mine/notes.txt").write_text("dear")
    before = (tmp_path / "pages/index.html").stat().st_ino
    write_gallery(run, tmp_path / "pages", Access())
    assert (tmp_path / "pages/index.html").stat().st_ino != before
    assert (tmp_path / "pages/verdicts-Jo.json").read_text() == "{}"
    assert (tmp_path / "pages/mine/notes.txt").read_text() == "dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.jpg", "pages", "run"]


def test_no_picture_at_all_is_a_failure_that_leaves_nothing(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    (tmp_path / "one.jpg").unlink()
    with pytest.raises(CraterRayError, match="Not one of the 2 images"):
        write_gallery(run, tmp_path / "pages", Access())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_scores_are_counted_as_the_run_counts_them(tmp_path: Path) -> None:
    # 0.01 is not a float32: a cut at the float64 would lose the image that has just this score.
    run = make_run(tmp_path / "run", [row("a", 0.01), row("b", 0.0), row("c", 1.0), row("d", 0.5), row("e", None)])
    found = distribution(run.parts(), [0.0123])
    reached = dict(zip(found.thresholds.tolist(), found.reached.tolist(), strict=True))
    assert [reached[cut] for cut in (0.0, 0.01, 0.0123, 0.5, 1.0)] == [4, 3, 2, 2, 1]
    assert (int(found.bins.sum()), found.statuses["ok"]) == (4, 4)
    places = to_axis(np.array([1e-4, 0.3, 0.5, 0.9999]))
    assert from_axis(places) == pytest.approx([1e-4, 0.3, 0.5, 0.9999])
    assert places[2] == 0.5


@pytest.mark.slow
def test_a_run_and_its_images_on_s3(s3: LocalS3, tmp_path: Path, cli: Cli) -> None:
    buffer = io.BytesIO()
    Image.new("L", (120, 100), 80).save(buffer, "JPEG")
    odd = ["plain", "a'b\"c <i>", "line\nbreak", "ähnlich 火口"]
    for key in odd:
        s3.client.put_object(Bucket=PUBLIC, Key=f"gallery/{key}.jpg", Body=buffer.getvalue())
    rows = [row(key, 0.9, uri=f"s3://{PUBLIC}/gallery/{key}.jpg", x=50.0, y=50.0) for key in odd]
    make_run(f"s3://{PUBLIC}/gallery/run", rows, access=Access(s3.endpoint_url))
    answer = cli(
        "gallery", f"s3://{PUBLIC}/gallery/run", "--out", tmp_path / "pages", "--endpoint-url", s3.endpoint_url
    )
    assert answer.returncode == 0, answer.stderr
    assert "4 candidates" in answer.stdout and "without a picture" not in answer.stdout
    assert len(list((tmp_path / "pages/images/0000").iterdir())) == 4
