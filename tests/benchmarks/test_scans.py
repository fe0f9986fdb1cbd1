"""Benchmarks that scan on this machine run on a tiny input, and count what they should."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import image_set, options
from benchmarks.gallery import BROWSERS
from benchmarks.image_set import ImageSet
from benchmarks.peer import model
from benchmarks.rows import RENDERERS
from benchmarks.start import small_scan
from crater_ray.engines.registry import create
from crater_ray.errors import UsageError
from crater_ray.network.bundle import FINDER, STARDUST, load
from crater_ray.runs.run import open_existing
from crater_ray.scanning.loader import BLOCK_IMAGES
from tests.benchmarks.conftest import Measure

pytestmark = pytest.mark.slow


def test_peers_score_as_the_scan_does_whichever_network_it_has() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 128), np.uint8)
    for bundle in (FINDER, STARDUST):
        scores = model("full", str(bundle)).predict(images[..., None], verbose=0)
        assert scores.shape == (3, 1)
        assert np.allclose(scores[:, 0], create("keras", load(bundle)).score(images).scores, rtol=1e-3, atol=1e-6)


def test_start(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each size begins with nothing kept, after a scan that is not counted; the scans themselves: the test below."""
    asked: list[tuple[int, str, bool]] = []

    def small_scan(
        archive: ImageSet, images: int, bundle: Path, engine: str, place: Path, cache: Path
    ) -> dict[str, float]:
        asked.append((images, place.name, cache.exists()))
        cache.mkdir(exist_ok=True)
        return {"first_row_seconds": len(asked), "seconds": 10 * len(asked)}

    monkeypatch.setattr("benchmarks.start.small_scan", small_scan)
    record = measure("start", "--images", "1,2", "--engine", "stand-in", "--repeats", "1")
    one, two = record["figures"]["rows"]
    assert (one["images"], two["images"]) == (1, 2)
    assert [(images, kept) for images, _, kept in asked] == [(1, False), (1, False), (1, True), (2, False), (2, True)]
    assert len({place for _, place, _ in asked}) == 5
    assert [row["first_run"] for row in (one, two)] == [{"first_row_seconds": n, "seconds": 10 * n} for n in (2, 4)]
    assert [row["later_runs"]["first_row_seconds"]["median"] for row in (one, two)] == [3, 5]
    assert [row["later_runs"]["seconds"]["median"] for row in (one, two)] == [30, 50]
    titles = [title for title, _, _ in RENDERERS["start"](record)]
    assert titles[0] == "scan of 1 image (stand-in), from the command to its first row, seconds"


def test_small_scan_is_timed_from_its_command(cache: Path, tmp_path: Path, shared_ray: None) -> None:
    """Twice, with what the first one kept for the second."""
    made = image_set.make(6, (96, 100), cache=cache)
    for turn in ("first", "later"):
        timed = small_scan(made, 2, options.bundle_folder("default", tmp_path), "stand-in", tmp_path / turn, tmp_path)
        assert 0 < timed["first_row_seconds"] <= timed["seconds"]
        with open_existing(tmp_path / turn / "run") as run:
            assert run.check().statuses == {"ok": 2}
            assert run.success() is not None


def test_planting_beside_a_scan(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that is not counted, then a scan and the completeness of its run in turn; the commands: tests/cli."""
    ran: list[tuple[str, ...]] = []

    def timed(*arguments: str) -> float:
        ran.append(arguments)
        return {"scan": 10.0, "completeness": 10.0 + len(ran)}[arguments[0]]

    monkeypatch.setattr("benchmarks.planting.timed", timed)
    record = measure("planting", "--images", "20", "--repeats", "2")
    assert [command[0] for command in ran] == ["scan", "scan", "completeness", "scan", "completeness"]
    assert [ran[n][1] for n in (2, 4)] == [ran[n][-1] for n in (1, 3)], "of another run than was scanned"
    assert len({ran[n][-1] for n in (0, 1, 3)}) == 3
    assert ran[2][2:4] == ("--images", "20")
    assert record["figures"]["ratio"]["values"] == [1.3, 1.5]
    assert record["figures"]["ratio"]["median"] == pytest.approx(1.4)
    ((title, *_),) = RENDERERS["planting"](record)
    assert "20 planted craters" in title


def test_scan_beside_the_plain_loop(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("scan", "--images", "600", "--distinct", "6", "--sizes", "96x100", "--engine", "stand-in"),
        *("--bundle", "random", "--sources", "local", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert row["counted_images"]["loop"] == 600 - BLOCK_IMAGES
    assert 0 < row["counted_images"]["scan"] <= 600 - 600 % BLOCK_IMAGES
    assert row["ratio"]["median"] == pytest.approx(row["scan"]["median"] / row["loop"]["median"])
    # Both looked at the same pixels.
    assert row["scores_sum"]["scan"] == pytest.approx(row["scores_sum"]["loop"], rel=1e-5)
    assert record["images"]["sets"][0]["distinct"] == 6


def test_a_killed_scan_ends_whole(measure: Measure, shared_ray: None) -> None:
    record = measure("kills", "--images", "120", "--kills", "1", "--shard-images", "10", "--distinct", "6")
    figures = record["figures"]
    assert (figures["verify_exit"], figures["rows"], figures["distinct_keys"]) == (0, 120, 120)
    assert figures["parts_redone"] == 0


def test_archive_is_projected_from_stages(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("archive", "--stage-images", "12", "--scan-images", "600", "--distinct", "6"),
        *("--engine", "stand-in", "--bundle", "random", "--source", "local", "--repeats", "1"),
    )
    figures = record["figures"]
    assert set(figures["stages"]) == {"get", "decode", "bar", "quality", "load", "forward", "publish"}
    assert figures["bound_images_a_second"]["median"] <= figures["forward_images_a_second"]["median"]
    assert figures["projected"]["at_the_scan_rate_seconds"] > 0


def test_a_gallery_is_made_and_opened(measure: Measure, shared_ray: None) -> None:
    pytest.importorskip("playwright", reason="the Python package playwright is not installed")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    figures = measure("gallery", "--images", "30", "--distinct", "6", "--repeats", "1")["figures"]
    assert figures["candidates"] == 30
    assert figures["opened_seconds"]["median"] > 0
    assert 0 < figures["largest_file_mb"] < 5


def test_a_run_too_short_to_time_says_so(tmp_path: Path, cache: Path, shared_ray: None) -> None:
    from benchmarks import child
    from benchmarks.options import bundle_folder

    source = image_set.link(image_set.make(6, (96, 100), cache=cache), 6, cache / "too-few")
    arguments = {"engine": "stand-in", "bundle": str(bundle_folder("random", tmp_path)), "endpoint_url": None}
    with pytest.raises(UsageError, match="more --images"):
        child.run(
            "benchmarks.scan:timed_scan", source=str(source), out=str(tmp_path / "run"), shard_images=10, **arguments
        )


def test_engine_with_screen_in_a_scan_beside_the_loop(measure: Measure, shared_ray: None, screened: Path) -> None:
    record = measure(
        *("scan", "--images", "600", "--distinct", "6", "--sizes", "96x100", "--engine", "stand-in+screen"),
        *("--bundle", str(screened), "--sources", "local", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert record["settings"]["engine"] == "stand-in+screen"
    assert sum(row["decided_by"].values()) == 600
    assert set(row["decided_by"]) <= {"screen", "audit", "stand-in"}


def test_completeness_beside_the_truth(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("completeness", "--foils", "1", "--blank", "1", "--images", "12", "--craters", "8", "--planted", "16"),
        *("--least", "1", "--engine", "openvino"),
    )
    f = record["figures"]
    with_craters, without = f["archives"]
    assert (f["estimates"], f["limits"], f["cells"]) == (1, 1, len(with_craters["cells"]))
    assert sum(cell["craters"] for cell in with_craters["cells"]) <= 8
    assert all(0 <= cell["recall"] <= 1 for cell in with_craters["cells"])
    assert without["cells"] == []
    assert (with_craters["density"] > 0, without["density"], without["covered"]) == (True, 0, True)
