"""A cluster that changes while a scan goes on: nodes join, die, are slow or hang, and every image has one row."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from PIL import Image

from benchmarks import paced
from crater_ray.runs.run import open_existing
from crater_ray.scanning import pool
from crater_ray.scanning.backlog import MAX_CRASHES
from testbed.local_cluster import QUICK_HEALTH_CHECK, LocalCluster, clustered
from tests.conftest import PATIENCE, Cli, make_images, make_many

IMAGES = 480
SHARD = 20
ALLOWED = 3 * SHARD
DEVICE_MS = 5.0
FOREVER = 20_000.0
"""A scorer that is so many times slower does not finish a block while a test lasts."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_many(tmp_path_factory.mktemp("many"), IMAGES, 40)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with clustered(QUICK_HEALTH_CHECK) as running:
        running.add_node()
        yield running


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Where scorers count; each waits after some blocks until it is released: no scan ends before it was disturbed."""
    folder = tmp_path / "counts"
    folder.mkdir()
    paced.hold(folder, ALLOWED)
    return folder


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(many: Path, tmp_path: Path, cluster: LocalCluster, counts: Path) -> Iterator[Start]:
    """Starts a scan of all images into `run` on the cluster, with scorers that take a fixed time per image."""
    started = []

    def scan(device_ms: float = DEVICE_MS) -> subprocess.Popen[bytes]:
        arguments = ("scan", str(many), "--out", str(tmp_path / "run"), "--engine", "stand-in")
        arguments += ("--shard-images", str(SHARD), "--address", cluster.address)
        with (tmp_path / "log").open("wb") as log:
            command = paced.command(device_ms, counts, *arguments)
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return started[-1]

    yield scan
    for process in started:
        process.kill()
        process.wait()
    for node in cluster.nodes[1:]:
        cluster.kill_node(node)


def test_image_over_which_scorers_die_costs_none_that_is_scored_beside_it(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """A scorer with a GPU works on two blocks at once: when it dies, either may be the cause."""
    keys = make_images(tmp_path / "archive", 20)
    Image.new("L", (120, paced.DEADLY)).save(tmp_path / "archive/m.png")
    (tmp_path / "counts").mkdir()
    arguments = ("scan", str(tmp_path / "archive"), "--out", str(tmp_path / "run"), "--engine", "stand-in")
    arguments += ("--shard-images", "1", "--address", cluster.address)
    ended = subprocess.run(
        paced.command(20, tmp_path / "counts", *arguments), check=False, capture_output=True, timeout=PATIENCE
    )
    assert ended.returncode == 0, ended.stderr
    with open_existing(tmp_path / "run") as run:
        rows = {row["key"]: row for table in run.parts() for row in table.to_pylist()}
        deaths = run.record["sessions"][-1]["retried_blocks"]
    assert "the process that read this image died" in rows.pop("m")["error"]
    assert set(rows) == set(keys)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert deaths >= MAX_CRASHES


def parts(run: Path) -> int:
    return len(list((run / "parts").glob("part-*.parquet")))


def wait_until(happened: Callable[[], object], driver: subprocess.Popen[bytes]) -> None:
    while not happened():
        assert driver.poll() is None, "the scan ended before it could be disturbed"
        time.sleep(0.05)


def check_whole(driver: subprocess.Popen[bytes], run: Path) -> None:
    assert driver.wait(PATIENCE) == 0, (run.parent / "log").read_text()[-2000:]
    with open_existing(run) as opened:
        check = opened.check()
        assert check.whole, check.problems
        keys = [key for rows in opened.parts() for key in rows["key"].to_pylist()]
        assert opened.success() is not None
    assert len(keys) == len(set(keys)) == IMAGES
    assert check.statuses == {"ok": IMAGES}


def test_nodes_die_and_join_while_a_scan_goes_on(
    cluster: LocalCluster, start: Start, counts: Path, tmp_path: Path
) -> None:
    stays = cluster.nodes[0]
    dies = cluster.add_node()
    driver = start()
    wait_until(lambda: parts(tmp_path / "run") >= 3 and paced.scored_images(counts).get(dies), driver)
    cluster.kill_node(dies)
    joins = cluster.add_node()
    wait_until(lambda: paced.scored_images(counts).get(joins), driver)
    paced.release(counts)
    check_whole(driver, tmp_path / "run")
    scored = paced.scored_images(counts)
    assert scored.keys() == {stays, dies, joins}
    assert min(scored.values()) > 0
    with open_existing(tmp_path / "run") as run:
        session = run.record["sessions"][-1]
        assert session["retried_blocks"] >= 1, "what the dead node had was not done again"
        assert sum(session["devices"].values()) == 2
    # What had been done on the dead node and was settled is not done again.
    assert sum(scored.values()) < IMAGES + 8 * SHARD


def test_scorer_that_dies_is_replaced_on_its_device(
    cluster: LocalCluster, start: Start, counts: Path, tmp_path: Path
) -> None:
    driver = start()
    for published in (3, 6):
        wait_until(lambda published=published: parts(tmp_path / "run") >= published, driver)  # type: ignore[misc]
        wait_until(lambda: cluster.processes("Paced.score"), driver)
        cluster.processes("Paced")[0].kill()
    wait_until(lambda: paced.at_work(counts) == 3, driver)
    paced.release(counts)
    check_whole(driver, tmp_path / "run")
    assert len(list(counts.iterdir())) == 3, "one scorer and two that replaced it"


def test_device_on_which_scorers_always_die_is_left_out(
    cluster: LocalCluster, start: Start, counts: Path, tmp_path: Path
) -> None:
    broken = cluster.add_node(broken=1)
    driver = start()
    wait_until(lambda: list(counts.glob(f"{broken}-*")), driver)
    paced.release(counts)
    check_whole(driver, tmp_path / "run")
    assert paced.scored_images(counts) == {cluster.nodes[0]: IMAGES, broken: 0}
    assert len(list(counts.glob(f"{broken}-*"))) <= pool.MAX_DEATHS


def test_slow_nodes_get_little_and_do_not_hold_the_end(
    cluster: LocalCluster, start: Start, counts: Path, tmp_path: Path
) -> None:
    quickest, slow, slowest = cluster.nodes[0], cluster.add_node(slow=50), cluster.add_node(slow=FOREVER)
    driver = start()
    wait_until(lambda: paced.at_work(counts, slow) and paced.at_work(counts, slowest), driver)
    paced.release(counts)
    check_whole(driver, tmp_path / "run")
    scored = paced.scored_images(counts)
    assert scored[quickest] > scored.get(slow, 0)
    assert scored.get(slowest, 0) < 16, "the slowest node is still at its first block"


def test_loader_that_hangs_does_not_hold_the_end(
    cluster: LocalCluster, start: Start, counts: Path, tmp_path: Path
) -> None:
    paced.release(counts)  # loaders, too, would have nothing to do
    driver = start(20)
    stopped: list[psutil.Process] = []

    def stop_one() -> bool:
        for process in cluster.processes("load"):
            with suppress(psutil.NoSuchProcess):
                process.suspend()
                if process.cmdline()[0].startswith("ray::load"):  # still: it had not just ended
                    stopped.append(process)
                    return True
                process.resume()
        return False

    wait_until(stop_one, driver)
    check_whole(driver, tmp_path / "run")  # its block was loaded by another: it cannot have come from a stopped process
    with suppress(psutil.NoSuchProcess):  # Ray ends a driver's processes with it
        stopped[0].kill()


UNHELD = """
from benchmarks import paced
from crater_ray.runs.lease import Lease
Lease._wait_for_others = lambda self: None
paced.main()
"""


def test_two_drivers_at_once_end_with_the_same_parts(many: Path, counts: Path, tmp_path: Path, cli: Cli) -> None:
    """The lease is what keeps a second driver away; without it, both do all, and neither harms the other."""
    run = tmp_path / "run"
    arguments = ["scan", str(many), "--out", str(run), "--engine", "stand-in", "--shard-images", str(SHARD)]
    logs = [tmp_path / "log", tmp_path / "log2"]
    drivers: list[subprocess.Popen[bytes]] = []
    with clustered() as alone:  # no GPU: each driver gets a scorer of its own
        for log in logs:
            with log.open("wb") as output:
                command = [sys.executable, "-c", UNHELD, str(DEVICE_MS), str(counts), *arguments]
                drivers.append(subprocess.Popen([*command, "--address", alone.address], stdout=output, stderr=output))
            wait_until(lambda: paced.at_work(counts) == len(drivers), drivers[-1])
        paced.release(counts)
        codes = [driver.wait(PATIENCE) for driver in drivers]
    assert codes == [0, 0], [log.read_text()[-1000:] for log in logs]
    check_whole(drivers[0], run)
    with open_existing(run) as opened:
        footers = opened.check().parts
        published = {part["part"]: part["digest"] for part in (opened.success() or {})["parts"]}
    assert sorted(published.values()) == sorted(footer.digest for footer in footers.values())
    verified = cli("verify", run)
    assert verified.returncode == 0, verified.stdout
