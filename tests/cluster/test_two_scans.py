"""Two scans at once: on one cluster, on one machine, into one bucket; each has its own rows and both end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
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
import sys
import threading
import time
from pathlib import Path

from benchmarks import paced
from crater_ray.scanning import pool
from crater_ray.watching import display

patience, pool.START_SECONDS, pool.REFRESH_SECONDS, display.LINE_SECONDS = pool.START_SECONDS, 2, 0.5, 3

def until_released(counts):
    while paced.allowed(counts) < float("inf"):
        time.sleep(0.02)
    pool.START_SECONDS = patience

threading.Thread(target=until_released, args=[Path(sys.argv[2])], daemon=True).start()
paced.main()
"""
"""Paced, gives up scorers that do not start within two seconds until it is released, and tells of progress every three.

Once it may score, it has its usual patience: on a busy machine a scorer takes longer to start.
"""


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


@dataclass
class HeldScans:
    """A scan of each archive on one cluster; their scorers stop in the midst of the first block until released."""

    cluster: LocalCluster
    archives: list[Path]
    folder: Path
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *, impatient: bool = False) -> None:
        """Start the next one."""
        number = len(self.drivers)
        counts = self.folder / f"counts{number}"
        counts.mkdir()
        paced.hold(counts, SHARD // 2)
        arguments = ["scan", str(self.archives[number]), "--out", str(self.folder / f"run{number}")]
        arguments += ["--engine", "stand-in", "--shard-images", str(SHARD), "--address", self.cluster.address]
        arguments += ["--log", str(self.folder / f"log{number}")]
        with (self.folder / f"said{number}").open("wb") as said:
            command = paced.command(1, counts, *arguments)
            if impatient:
                command = [sys.executable, "-c", IMPATIENT, "1", str(counts), *arguments]
            self.drivers.append(subprocess.Popen(command, stdout=said, stderr=said))

    def wait_for_work(self, number: int) -> None:
        wait_until(lambda: paced.at_work(self.folder / f"counts{number}"), self.drivers[number])

    def finish(self) -> None:
        """Release them: both end, and each has the rows of its own archive."""
        for number in range(len(self.drivers)):
            paced.release(self.folder / f"counts{number}")
        codes = [driver.wait(PATIENCE) for driver in self.drivers]
        assert codes == [0, 0], (self.folder / "said1").read_text()[-1000:]
        for number, archive in enumerate(self.archives):
            assert set(rows_of(self.folder / f"run{number}")) == keys_of(archive)


@pytest.fixture
def scans(cluster: LocalCluster, archives: list[Path], tmp_path: Path) -> Iterator[HeldScans]:
    held = HeldScans(cluster, archives, tmp_path)
    yield held
    for driver in held.drivers:
        driver.kill()
        driver.wait()


def test_a_second_scan_waits_for_the_gpu_that_the_first_one_has(scans: HeldScans, tmp_path: Path) -> None:
    """It does not take its scorers for dead meanwhile, and scores when the first has ended."""
    scans.cluster.add_node(num_gpus=1, num_cpus=2)
    scans.start()
    scans.wait_for_work(0)
    scans.start(impatient=True)
    said = tmp_path / "said1"
    # Three seconds between two lines of progress: longer than it would wait for a scorer that hangs.
    wait_until(lambda: said.read_text().count("1 waiting for a GPU that others use") >= 2, scans.drivers[1])
    assert scans.drivers[0].poll() is None
    scans.finish()
    assert "was lost" not in (tmp_path / "log1").read_text()


def test_two_scans_share_a_cluster_of_processors(scans: HeldScans) -> None:
    """Both are at work at the same time."""
    scans.cluster.add_node(num_gpus=0, num_cpus=2)
    for _ in range(2):
        scans.start()
    for number in range(2):
        scans.wait_for_work(number)
    scans.finish()


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
