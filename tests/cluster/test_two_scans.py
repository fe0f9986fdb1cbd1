"""Two scans at once: on one cluster, on one machine, into one bucket; each has its own rows and both end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import paced
from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access
from testbed.local_cluster import LocalCluster, clustered
from testbed.local_s3 import LocalS3
from tests.cluster.test_elastic import wait_until
from tests.conftest import CLI, PATIENCE, make_images

IMAGES = 60
SHARD = 10
pytestmark = pytest.mark.slow

IMPATIENT = """
from benchmarks import paced
from crater_ray.scanning import pool
pool.START_SECONDS, pool.REFRESH_SECONDS = 4, 1
paced.main()
"""
"""Paced, and gives up scorers that do not start within four seconds."""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two of other images, with other keys."""
    folders = [tmp_path_factory.mktemp(f"archive{number}") for number in range(2)]
    for number, folder in enumerate(folders):
        make_images(folder, IMAGES, seed=number)
    return folders


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with clustered() as running:
        yield running


def rows_of(run: str | Path, access: Access = Access()) -> dict[str, float]:
    with open_existing(run, access) as opened:
        assert opened.success() is not None
        return {row["key"]: row["score"] for part in opened.parts() for row in part.to_pylist()}


def keys_of(archive: Path) -> set[str]:
    return {folder.name for folder in archive.iterdir()}


def test_a_second_scan_waits_for_the_gpu_that_the_first_one_has(
    cluster: LocalCluster, archives: list[Path], tmp_path: Path
) -> None:
    """It does not take its scorers for dead meanwhile, and scores when the first has ended."""
    cluster.add_node(num_gpus=1, num_cpus=2)
    drivers: list[subprocess.Popen[bytes]] = []
    counts = [tmp_path / f"counts{number}" for number in range(2)]
    for number, archive in enumerate(archives):
        counts[number].mkdir()
        paced.hold(counts[number], SHARD // 2)
        arguments = ["scan", str(archive), "--out", str(tmp_path / f"run{number}"), "--engine", "stand-in"]
        arguments += ["--shard-images", str(SHARD), "--address", cluster.address, "--log", str(tmp_path / f"{number}")]
        command = [sys.executable, "-c", IMPATIENT, "1", str(counts[number]), *arguments]
        with (tmp_path / f"said{number}").open("wb") as said:
            drivers.append(subprocess.Popen(command, stdout=said, stderr=said))
        if number == 0:
            wait_until(lambda: paced.at_work(counts[0]), drivers[0])
    said = tmp_path / "said1"
    # Ten seconds between two lines of progress: longer than it would wait for a scorer that hangs.
    wait_until(lambda: said.read_text().count("1 waiting for a GPU that others use") >= 2, drivers[1])
    assert drivers[0].poll() is None
    for folder in counts:
        paced.release(folder)
    assert [driver.wait(PATIENCE) for driver in drivers] == [0, 0], said.read_text()[-1000:]
    for number, archive in enumerate(archives):
        assert set(rows_of(tmp_path / f"run{number}")) == keys_of(archive)
    assert "was lost" not in (tmp_path / "1").read_text()


def test_two_scans_share_a_cluster_of_processors(cluster: LocalCluster, archives: list[Path], tmp_path: Path) -> None:
    """Both are at work at the same time, and each has the rows of its own archive."""
    cluster.add_node(num_gpus=0, num_cpus=2)
    drivers: list[subprocess.Popen[bytes]] = []
    counts = [tmp_path / f"counts{number}" for number in range(2)]
    for number, archive in enumerate(archives):
        counts[number].mkdir()
        paced.hold(counts[number], SHARD // 2)
        arguments = ["scan", str(archive), "--out", str(tmp_path / f"run{number}"), "--engine", "stand-in"]
        arguments += ["--shard-images", str(SHARD), "--address", cluster.address]
        with (tmp_path / f"said{number}").open("wb") as said:
            drivers.append(subprocess.Popen(paced.command(1, counts[number], *arguments), stdout=said, stderr=said))
    for number, driver in enumerate(drivers):
        wait_until(lambda number=number: paced.at_work(counts[number]), driver)
    for folder in counts:
        paced.release(folder)
    assert [driver.wait(PATIENCE) for driver in drivers] == [0, 0], (tmp_path / "said1").read_text()[-1000:]
    for number, archive in enumerate(archives):
        assert set(rows_of(tmp_path / f"run{number}")) == keys_of(archive)


def test_two_scans_on_one_machine_write_into_one_bucket(archives: list[Path], s3: LocalS3) -> None:
    """Each starts a Ray of its own; their runs lie side by side in one bucket."""
    s3.client.create_bucket(Bucket="two-scans")
    drivers = []
    for number, archive in enumerate(archives):
        command = [CLI, "scan", str(archive), "--out", f"s3://two-scans/runs/{number}"]
        command += ["--endpoint-url", s3.endpoint_url, "--engine", "stand-in", "--shard-images", str(SHARD)]
        drivers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    said = [driver.communicate(timeout=PATIENCE)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    access = Access(endpoint_url=s3.endpoint_url)
    for number, archive in enumerate(archives):
        assert set(rows_of(f"s3://two-scans/runs/{number}", access)) == keys_of(archive)
