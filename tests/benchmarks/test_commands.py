"""Every benchmark runs on a tiny input, counts what it should, and writes JSON that the README's table is made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import image_set
from benchmarks.app import app
from benchmarks.readme import render
from crater_ray.errors import UsageError
from testbed.local_s3 import LocalS3
from tests.benchmarks.conftest import Measure


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


def test_manifest_goes_through_the_listing(measure: Measure) -> None:
    figures = measure("manifest", "--keys", "2500", "--repeats", "1")["figures"]
    assert figures["shards"] == 3
    assert figures["total_seconds"]["median"] > 0


@pytest.mark.slow
def test_forward_gives_its_share_of_the_matrix_rate(measure: Measure) -> None:
    pytest.importorskip("openvino")
    record = measure(
        *("forward", "--engines", "openvino-float", "--batches", "1", "--size", "92x92", "--seconds", "0.01"),
        *("--repeats", "1", "--bundle", "random"),
    )
    rows = record["figures"]["rows"]
    assert [row["batch"] for row in rows] == [1]
    assert all(row["share"]["median"] > 0 for row in rows)


@pytest.mark.slow
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
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, UsageError)
    assert arguments[1] in str(result.exception)


def test_engine_with_screen_needs_one(measure: Measure) -> None:
    result = CliRunner().invoke(app, ["scan", "--engine", "stand-in+screen", "--bundle", "random"])
    assert isinstance(result.exception, UsageError)
    assert "has no screen" in str(result.exception)


@pytest.mark.slow
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
