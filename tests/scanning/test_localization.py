"""On a cluster with GPUs, other processes look for the craters: the rows are those of a scan on a processor."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from crater_ray.network.bundle import STARDUST
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.simulate import simulate_archive
from testbed.local_cluster import clustered
from tests.conftest import CLI, PATIENCE

PLACED = ("key", "status", "score", "x", "y", "diameter", "stage")


def rows(run: Path) -> list[dict[str, object]]:
    with open_existing(run) as opened:
        assert opened.check().whole
        found = [row for table in opened.parts() for row in table.select(PLACED).to_pylist()]
    return sorted(found, key=lambda row: str(row["key"]))


@pytest.mark.slow
def test_a_scan_with_a_gpu_gives_the_same_rows(ray_here: None, tmp_path: Path, quiet: Console) -> None:
    """Ray is told of a GPU, and pins one to the scorer; the network computes on the processor all the same."""
    simulate_archive(tmp_path / "archive", images=8, craters=7, seed=7)
    settings = ScanSettings(
        str(tmp_path / "archive"), "", bundle=STARDUST, engine="keras", threshold=0.5, shard_images=3
    )
    with clustered() as cluster:
        cluster.add_node(num_gpus=1, num_cpus=2)
        words = ("--bundle", "stardust", "--engine", "keras", "--threshold", "0.5", "--shard-images", "3")
        words = (*words, "--address", cluster.address)
        done = subprocess.run(
            [CLI, "scan", settings.source, "--out", str(tmp_path / "gpu"), *words],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    scan(replace(settings, out=str(tmp_path / "processor")), quiet)
    with_gpu, without = rows(tmp_path / "gpu"), rows(tmp_path / "processor")
    assert sum(row["diameter"] is not None for row in without) >= 4
    assert with_gpu == without
