"""Every benchmark runs on a tiny input, counts what it should, and writes JSON that the README's table is made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import image_set
from benchmarks.app import app
from benchmarks.gallery import BROWSERS
from benchmarks.readme import render
from benchmarks.rows import RENDERERS
from crater_ray.errors import UsageError
from crater_ray.scanning.loader import BLOCK_IMAGES
from testbed.local_cluster import QUICK_HEALTH_CHECK
from testbed.local_s3 import LocalS3

Measure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def measure(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Runs a command and gives what it wrote."""
    monkeypatch.setattr(image_set, "CACHE", cache)

    def run(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
        path = tmp_path / f"{arguments[0]}.json"
        result = CliRunner().invoke(app, [*arguments, "--json", str(path)])
        assert result.exit_code == exit_code, result.output + str(result.exception)
        record: dict[str, Any] = json.loads(path.read_text())
        assert record["benchmark"] == arguments[0]
        assert record["environment"]["cores"] >= 1
        assert record["figures"]
        return record

    return run


@pytest.mark.slow
def test_start(measure: Measure, shared_ray: None) -> None:
    record = measure("start", "--images", "1,2", "--engine", "stand-in", "--repeats", "1")
    one, two = record["figures"]["rows"]
    assert (one["images"], two["images"]) == (1, 2)
    for row in (one, two):
        assert 0 < row["first_run"]["first_row_seconds"] <= row["first_run"]["seconds"]
        assert 0 < row["later_runs"]["first_row_seconds"]["median"] <= row["later_runs"]["seconds"]["median"]
    titles = [title for title, _, _ in RENDERERS["start"](record)]
    assert titles[0] == "scan of 1 image (stand-in), from the command to its first row, seconds"


@pytest.mark.slow
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


def test_plain_loop_reads_from_s3(s3: LocalS3, cache: Path, tmp_path: Path) -> None:
    from benchmarks.options import bundle_folder
    from benchmarks.plain_loop import timed_loop

    made = image_set.make(6, (96, 100), cache=cache)
    address = image_set.upload(made, 9, s3, "plain-loop")
    listing = tmp_path / "images.txt"
    listing.write_text("\n".join(f"{address}/{name}" for name, _ in made.named(9)))
    bundle = str(bundle_folder("random", tmp_path))
    timed = timed_loop(str(listing), "stand-in", bundle, s3.endpoint_url)
    assert timed["images"] == 0  # all nine were in the first batch, which does not count
    assert 0 < timed["scores_sum"] < 9


@pytest.mark.slow
def test_memory_is_sampled_from_start_to_end(measure: Measure, tmp_path: Path) -> None:
    record = measure("memory", "--images", "4000", "--distinct", "6", "--plot", str(tmp_path / "memory.png"))
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    (run,) = record["figures"]["runs"]
    course = [resident for _, resident in run["course_s_mib"]]
    assert len(course) > 3
    assert run["peak_mib"] >= max(course) - 0.1  # rounded
    assert run["images"] == 4000
    assert set(run["others"]) == {"loaders", "scorers", "Ray"}
    assert all(held["peak_mib"] > 20 for held in run["others"].values()), "each was seen at work"


def test_manifest_goes_through_the_listing(measure: Measure) -> None:
    figures = measure("manifest", "--keys", "2500", "--repeats", "1")["figures"]
    assert figures["shards"] == 3
    assert figures["total_seconds"]["median"] > 0


@pytest.mark.slow
def test_a_killed_scan_ends_whole(measure: Measure, shared_ray: None) -> None:
    record = measure("kills", "--images", "120", "--kills", "1", "--shard-images", "10", "--distinct", "6")
    figures = record["figures"]
    assert (figures["verify_exit"], figures["rows"], figures["distinct_keys"]) == (0, 120, 120)
    assert figures["parts_redone"] == 0


@pytest.mark.slow
def test_node_loss_is_timed_to_the_end(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK_HEALTH_CHECK.items():
        monkeypatch.setenv(name, value)
    record = measure(
        *("node-loss", "--images", "600", "--nodes", "2", "--device-ms", "10", "--at", "0.2"),
        *("--shard-images", "20", "--distinct", "6"),
    )
    (run,) = record["figures"]["runs"]
    assert run["settled"] + run["left"] == 600
    assert run["left"] > 0
    assert run["ratio"] == pytest.approx(run["taken_s"] / run["needed_s"], abs=0.01)


@pytest.mark.slow
def test_archive_is_projected_from_stages(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("archive", "--stage-images", "12", "--scan-images", "600", "--distinct", "6"),
        *("--engine", "stand-in", "--bundle", "random", "--source", "local", "--repeats", "1"),
    )
    figures = record["figures"]
    assert set(figures["stages"]) == {"get", "decode", "bar", "quality", "load", "forward", "publish"}
    assert figures["bound_images_a_second"]["median"] <= figures["forward_images_a_second"]["median"]
    assert figures["projected"]["at_the_scan_rate_seconds"] > 0


def test_forward_gives_its_share_of_the_matrix_rate(measure: Measure) -> None:
    pytest.importorskip("openvino")
    record = measure(
        *("forward", "--engines", "openvino-float", "--batches", "1", "--size", "92x92", "--seconds", "0.01"),
        *("--repeats", "1", "--bundle", "random"),
    )
    rows = record["figures"]["rows"]
    assert [row["batch"] for row in rows] == [1]
    assert all(row["share"]["median"] > 0 for row in rows)


def test_frames_cost_their_pixels(measure: Measure) -> None:
    record = measure(
        *("frames", "--bundles", "random", "--engines", "stand-in", "--images", "8", "--scan-seconds", "0"),
        *("--repeats", "2", "--distinct", "6"),
    )
    (row,) = record["figures"]["rows"]
    for sites, frames, ratio in zip(
        *(row["alone"][name]["values"] for name in ("sites", "frames", "ratio")), strict=True
    ):
        assert ratio == pytest.approx(frames / sites)
    small, large = record["images"]["sets"]
    assert (large["height"], large["width"]) == (2 * small["height"], 2 * small["width"])
    assert large["mean_bytes"] == pytest.approx(4 * small["mean_bytes"], rel=0.1)  # no other content or compression


@pytest.mark.slow
def test_this_machine_in_one_table(measure: Measure, shared_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # is imported faster
    little = {
        "here.PROTOCOL": 2,
        "here.PEERS": 9,
        "here.SMALL": 2,
        "here.SCAN_SECONDS": 0,
        "frames.TILE": (96, 128),
        "frames.FRAME": (192, 256),
    }
    for name, few in (little | {"frames.LEAST_IMAGES": 16, "frames.SHARD_IMAGES": 8}).items():
        monkeypatch.setattr(f"benchmarks.{name}", few)
    record = measure(
        *("here", "--minutes", "0", "--bundle", "random", "--engines", "openvino-float", "--engine", "stand-in"),
        *("--peers", "keras predict,Daft", "--block", "4", "--distinct", "6"),
    )
    assert record["figures"]["turns"] == 1
    assert list(record["figures"]["skipped"]) == ["Daft"]
    found = {row["what"]: row["figure"]["median"] for row in record["figures"]["rows"]}
    assert all(value > 0 for value in found.values())
    assert "network alone (openvino-float), frames a minute" in found
    assert "one image, from the command to its row, the first time, seconds" in found
    rate = found["scan (stand-in), images a minute"]
    assert found["scan over the original protocol"] == pytest.approx(rate / found["original protocol, images a minute"])
    assert found["scan over keras predict"] == pytest.approx(rate / found["keras predict, images a minute"])
    assert "| scan (stand-in), images a minute |" in render([record])


@pytest.mark.slow
def test_paper_times_predict(measure: Measure) -> None:
    record = measure("paper", "--images", "2", "--scan-images", "0", "--repeats", "1", "--bundle", "random")
    assert record["figures"]["protocol_images_a_minute"]["median"] > 0
    assert record["figures"]["published_images_a_minute"] == 104


@pytest.mark.slow
def test_scale_reaches_scorers_on_two_nodes(measure: Measure) -> None:
    record = measure(
        *("scale", "--scorers", "2", "--per-node", "1", "--device-ms", "5", "--blocks", "8", "--size", "96x96"),
        *("--distinct", "6", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert row["nodes"] == 2
    assert row["driver_ms_per_image"]["median"] > 0
    assert row["efficiency"]["median"] > 0


@pytest.mark.slow
def test_a_gallery_is_made_and_opened(measure: Measure, shared_ray: None) -> None:
    pytest.importorskip("playwright", reason="the Python package playwright is not installed")
    if not any(map(shutil.which, BROWSERS)):
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    figures = measure("gallery", "--images", "30", "--distinct", "6", "--repeats", "1")["figures"]
    assert figures["candidates"] == 30
    assert figures["opened_seconds"]["median"] > 0
    assert 0 < figures["largest_file_mb"] < 5


@pytest.mark.slow
def test_peers_run_their_patterns(measure: Measure, shared_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # is imported faster
    record = measure(
        *("peers", "--images", "130", "--scan-images", "600", "--distinct", "6", "--network", "trivial"),
        *("--peers", "keras predict,Daft", "--repeats", "1", "--bundle", "random"),
    )
    assert "pip install" in record["figures"]["skipped"]["Daft"]  # it cannot be installed beside this pyarrow
    assert record["settings"]["scan_images"] == 600
    names = [row["name"] for row in record["figures"]["rows"]]
    assert names == ["scan, stand-in", "keras predict"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "--sizes", "12x12"),
        ("scan", "--sources", "tape"),
        ("scan", "--engine", "abacus"),
        ("forward", "--batches", "few"),
        ("peers", "--network", "huge"),
        ("peers", "--peers", "nobody"),
        ("peers", "--daft", "nowhere"),
        ("scale", "--scorers", "some"),
    ],
)
def test_wrong_words_are_named(arguments: tuple[str, ...]) -> None:
    from crater_ray.errors import UsageError

    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, UsageError)
    assert arguments[1] in str(result.exception)


@pytest.mark.slow
def test_a_run_too_short_to_time_says_so(tmp_path: Path, cache: Path, shared_ray: None) -> None:
    from benchmarks import child
    from benchmarks.options import bundle_folder
    from crater_ray.errors import UsageError

    source = image_set.link(image_set.make(6, (96, 100), cache=cache), 6, cache / "too-few")
    arguments = {"engine": "stand-in", "bundle": str(bundle_folder("random", tmp_path)), "endpoint_url": None}
    with pytest.raises(UsageError, match="more --images"):
        child.run(
            "benchmarks.scan:timed_scan", source=str(source), out=str(tmp_path / "run"), shard_images=10, **arguments
        )


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random bundle with a random screen for small images."""
    from benchmarks.options import bundle_folder
    from tests.made_screens import screened_bundle

    folder = tmp_path_factory.mktemp("bundles")
    return screened_bundle(bundle_folder("random", folder), folder / "screened", size=(96, 100), full_threshold=0.4)


@pytest.mark.slow
def test_engine_with_screen_in_a_scan_beside_the_loop(measure: Measure, shared_ray: None, screened: Path) -> None:
    record = measure(
        *("scan", "--images", "600", "--distinct", "6", "--sizes", "96x100", "--engine", "stand-in+screen"),
        *("--bundle", str(screened), "--sources", "local", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert record["settings"]["engine"] == "stand-in+screen"
    assert sum(row["decided_by"].values()) == 600
    assert set(row["decided_by"]) <= {"screen", "audit", "stand-in"}


def test_engine_with_screen_needs_one(measure: Measure) -> None:
    result = CliRunner().invoke(app, ["scan", "--engine", "stand-in+screen", "--bundle", "random"])
    assert isinstance(result.exception, UsageError)
    assert "has no screen" in str(result.exception)


def test_screening_counts_what_it_lets_slip(measure: Measure, screened: Path, tmp_path: Path) -> None:
    """Stand-ins: brightness decides, so that of images from dark to bright some are candidates and some slip."""
    from tests.conftest import make_images

    make_images(tmp_path / "images", 100, (96, 100))
    record = measure(
        *("screening", "--set", str(tmp_path / "images"), "--engine", "stand-in", "--bundle", str(screened)),
        *("--runs", "20"),
    )
    figures = record["figures"]
    assert (figures["images"], figures["audits"], figures["recall_lost_points"]) == (100, 20, None)
    assert 40 < figures["candidates"] < 60
    assert figures["kept_share"] == figures["kept"] / figures["candidates"] >= 0.995
    assert 0.5 < figures["pass_share"] < 0.75
    assert figures["audits_held"] == 20
    assert f"100.00% of {figures['candidates']}" in render([record])


@pytest.mark.slow
def test_commands_on_a_large_run(measure: Measure) -> None:
    """Each command that reads a run does so, to its end; the run is as large as told."""
    record = measure("large-run", "--rows", "1000", "--top", "20", "--distinct", "5")
    rows = record["figures"]["rows"]
    assert [row["command"] for row in rows] == [
        *("status", "verify", "candidates", "compare", "rescan --where", "gallery")
    ]
    assert all(row["seconds"] > 0 and row["peak_mib"] > 50 for row in rows)


@pytest.mark.slow
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
