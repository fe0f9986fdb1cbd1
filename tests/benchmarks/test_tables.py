"""Benchmarks that compare, watch, or need a cluster run on a tiny input, and count what they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.readme import render
from testbed.local_cluster import QUICK_HEALTH_CHECK
from tests.benchmarks.conftest import Measure

pytestmark = pytest.mark.slow


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


def test_paper_times_predict(measure: Measure) -> None:
    record = measure("paper", "--images", "2", "--scan-images", "0", "--repeats", "1", "--bundle", "random")
    assert record["figures"]["protocol_images_a_minute"]["median"] > 0
    assert record["figures"]["published_images_a_minute"] == 104


def test_scale_reaches_scorers_on_two_nodes(measure: Measure) -> None:
    record = measure(
        *("scale", "--scorers", "2", "--per-node", "1", "--device-ms", "5", "--blocks", "8", "--size", "96x96"),
        *("--distinct", "6", "--repeats", "1"),
    )
    (row,) = record["figures"]["rows"]
    assert row["nodes"] == 2
    assert row["driver_ms_per_image"]["median"] > 0
    assert row["efficiency"]["median"] > 0


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


def test_commands_on_a_large_run(measure: Measure) -> None:
    """Each command that reads a run does so, to its end; the run is as large as told."""
    record = measure("large-run", "--rows", "1000", "--top", "20", "--distinct", "5")
    rows = record["figures"]["rows"]
    assert [row["command"] for row in rows] == [
        *("status", "verify", "candidates", "compare", "rescan --where", "gallery")
    ]
    assert all(row["seconds"] > 0 and row["peak_mib"] > 50 for row in rows)
