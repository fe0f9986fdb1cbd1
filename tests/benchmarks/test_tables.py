"""Benchmarks that compare, watch, or need a cluster run on a tiny input, and count what they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.child import run as run_in_child
from benchmarks.image_set import ImageSet
from benchmarks.readme import render
from benchmarks.scan import timed_scan
from crater_ray.network.bundle import load
from testbed.local_cluster import QUICK_HEALTH_CHECK
from tests.benchmarks.conftest import Measure

pytestmark = pytest.mark.slow


class SmallScans:
    """Stands in for `small_scan`, which test_scans.py looks at: the n-th takes n seconds to its row and 10 n in all."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.kept: list[bool] = []

    def __call__(
        self, archive: ImageSet, images: int, bundle: Path, engine: str, place: Path, cache: Path
    ) -> dict[str, float]:
        assert load(bundle)
        assert engine == "stand-in"
        place.mkdir()  # is new
        self.sizes.append(images)
        self.kept.append(cache.exists())
        cache.mkdir(exist_ok=True)
        return {"first_row_seconds": len(self.sizes), "seconds": 10 * len(self.sizes)}


def scan_here(function: str, packages: Path | None = None, /, **arguments: Any) -> Any:
    """As `child.run`, but scans run in this process: test_scans.py looks at those in one of their own."""
    if function == "benchmarks.scan:timed_scan":
        return timed_scan(**json.loads(json.dumps(arguments)))
    return run_in_child(function, packages, **arguments)


def test_this_machine_in_one_table(measure: Measure, shared_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.child.run", scan_here)
    small = SmallScans()
    monkeypatch.setattr("benchmarks.here.small_scan", small)
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
    assert (small.sizes, small.kept) == ([1, 1, 2], [False, True, True])
    assert found["one image, from the command to its row, the first time, seconds"] == 1
    assert found["one image, from the command to its row, seconds"] == 2
    assert found["scan of 2 images, from the command to its end, seconds"] == 30
    rate = found["scan (stand-in), images a minute"]
    assert found["scan over the original protocol"] == pytest.approx(rate / found["original protocol, images a minute"])
    assert found["scan over keras predict"] == pytest.approx(rate / found["keras predict, images a minute"])
    assert "| scan (stand-in), images a minute |" in render([record])


def test_memory_is_sampled_from_start_to_end(measure: Measure, tmp_path: Path) -> None:
    record = measure("memory", "--images", "2500", "--distinct", "6", "--plot", str(tmp_path / "memory.png"))
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    (run,) = record["figures"]["runs"]
    course = [resident for _, resident in run["course_s_mib"]]
    assert len(course) > 3
    assert run["peak_mib"] >= max(course) - 0.1  # rounded
    assert run["images"] == 2500
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


def test_peers_run_their_patterns(measure: Measure, shared_ray: None) -> None:
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
