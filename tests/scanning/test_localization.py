"""On a cluster with GPUs, other processes look for the craters: the rows are those of a scan on a processor."""

from __future__ import annotations

import subprocess
from pathlib import Path

from crater_ray.runs.run import open_existing
from crater_ray.simulate import simulate_archive
from testbed.local_cluster import clustered
from tests.conftest import CLI

PLACED = ("key", "status", "score", "x", "y", "diameter", "stage")


def rows(run: Path) -> list[dict[str, object]]:
    with open_existing(run) as opened:
        assert opened.check().whole
        found = [row for table in opened.parts() for row in table.select(PLACED).to_pylist()]
    return sorted(found, key=lambda row: str(row["key"]))


def test_a_scan_with_a_gpu_gives_the_same_rows(tmp_path: Path) -> None:
    """Ray is told of a GPU, and pins one to the scorer; the network computes on the processor all the same."""
    simulate_archive(tmp_path / "archive", images=40, craters=24, seed=7)
    common = ("scan", str(tmp_path / "archive"), "--engine", "keras", "--threshold", "0.5", "--shard-images", "16")
    with clustered() as cluster:
        cluster.add_node(num_gpus=1, num_cpus=2)
        for out, where in (("gpu", ("--address", cluster.address)), ("processor", ())):
            done = subprocess.run(
                [CLI, *common, "--out", str(tmp_path / out), *where], capture_output=True, timeout=240, check=False
            )
            assert done.returncode == 0, done.stderr
    with_gpu, without = rows(tmp_path / "gpu"), rows(tmp_path / "processor")
    assert sum(row["diameter"] is not None for row in without) >= 10
    assert with_gpu == without
