"""Every benchmark runs on a tiny input, counts what it should, and writes JSON that the README's table is made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import image_set
from benchmarks.__main__ import app
from benchmarks.local_s3 import LocalS3

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


@pytest.fixture
def shared_ray(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the fresh processes join the tests' Ray: starting one each would take most of the time."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


def test_scan_beside_the_plain_loop(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("scan", "--images", "150", "--distinct", "6", "--sizes", "96x100", "--engine", "stand-in"),
        *("--bundle", "random", "--sources", "local", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert row["counted_images"]["loop"] == 150 - 64
    assert 0 < row["counted_images"]["scan"] <= 150 - 22
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


def test_memory_is_sampled_from_start_to_end(measure: Measure, shared_ray: None) -> None:
    record = measure("memory", "--images", "80", "--distinct", "6")
    (run,) = record["figures"]["runs"]
    course = [resident for _, resident in run["course_s_mib"]]
    assert len(course) > 3
    assert run["peak_mib"] >= max(course) - 0.1  # rounded
    assert run["images"] == 80


def test_manifest_goes_through_the_listing(measure: Measure) -> None:
    figures = measure("manifest", "--keys", "2500", "--repeats", "1")["figures"]
    assert figures["shards"] == 3
    assert figures["total_seconds"]["median"] > 0


def test_a_killed_scan_ends_whole(measure: Measure, shared_ray: None) -> None:
    record = measure("kills", "--images", "120", "--kills", "1", "--shard-images", "10", "--distinct", "6")
    figures = record["figures"]
    assert (figures["verify_exit"], figures["rows"], figures["distinct_keys"]) == (0, 120, 120)
    assert figures["parts_redone"] == 0


def test_archive_is_projected_from_stages(measure: Measure, shared_ray: None) -> None:
    record = measure(
        *("archive", "--stage-images", "12", "--scan-images", "150", "--distinct", "6"),
        *("--engine", "stand-in", "--bundle", "random", "--source", "local", "--repeats", "1"),
    )
    figures = record["figures"]
    assert set(figures["stages"]) == {"get", "decode", "load", "forward", "publish"}
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


def test_paper_times_predict(measure: Measure) -> None:
    record = measure("paper", "--images", "2", "--scan-images", "0", "--repeats", "1", "--bundle", "random")
    assert record["figures"]["protocol_images_a_minute"]["median"] > 0
    assert record["figures"]["published_images_a_minute"] == 104


def test_scale_reaches_scorers_on_two_nodes(measure: Measure) -> None:
    record = measure(
        *("scale", "--scorers", "2", "--per-node", "1", "--device-ms", "1", "--blocks", "4", "--size", "96x96"),
        *("--distinct", "6", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert row["nodes"] == 2
    assert row["driver_ms_per_image"]["median"] > 0
    assert row["efficiency"]["median"] > 0


def test_peers_run_their_patterns(measure: Measure, shared_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # is imported faster
    record = measure(
        *("peers", "--images", "130", "--distinct", "6", "--network", "trivial", "--peers", "keras predict"),
        *("--repeats", "1", "--bundle", "random"),
    )
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
        ("scale", "--scorers", "some"),
    ],
)
def test_wrong_words_are_named(arguments: tuple[str, ...]) -> None:
    from crater_ray.errors import UsageError

    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, UsageError)
    assert arguments[1] in str(result.exception)


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
