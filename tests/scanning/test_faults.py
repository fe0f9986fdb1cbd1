"""Processes that die in mid-run: nothing is lost, nothing is scored twice, finished shards are not done again."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import paced
from crater_ray.runs.run import open_existing
from crater_ray.scanning import tasks
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from tests.conftest import PATIENCE, Cli, make_images, make_many

IMAGES = 1_500
SHARD = 25
ALLOWED = 6 * SHARD
"""So many images are scored, and then no more: no scan ends before it was disturbed."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_many(tmp_path_factory.mktemp("many"), IMAGES, 100)


def parts(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (run / "parts").glob("part-*.parquet")}


def wait_for_parts(run: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    while len(parts(run)) < count:
        assert process.poll() is None, "the scan ended before it could be disturbed"
        time.sleep(0.02)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests that were started in the background ignore Ctrl-C, and so would all that they start."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def check_whole(run: Path) -> None:
    with open_existing(run) as opened:
        check = opened.check()
        assert check.whole, check.problems
        keys = [key for rows in opened.parts() for key in rows["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == IMAGES
    assert check.statuses == {"ok": IMAGES}


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Where paced scorers count."""
    folder = tmp_path / "counts"
    folder.mkdir()
    return folder


def ended_by(driver: subprocess.Popen[bytes], run: Path, published: int, sent: signal.Signals) -> int:
    """Send a signal to a scan once so many parts are published; gives its exit code."""
    try:
        wait_for_parts(run, published, driver)
        driver.send_signal(sent)
        return driver.wait(PATIENCE)
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.slow
def test_driver_dies_and_the_same_command_goes_on(
    many: Path, counts: Path, tmp_path: Path, interruptible: None, shared_ray: None, cli: Cli
) -> None:
    """Three drivers die one after the other, each of them another death; the fourth ends the run.

    Two have a Ray of their own, as a scan on one machine has; one is the client of a Ray that stays.
    """
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = ["scan", str(many), "--out", str(run), "--engine", "stand-in", "--shard-images", str(SHARD)]
    paced.hold(counts, ALLOWED)
    finished: dict[str, int] = {}
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with log.open("wb") as words:
            command = paced.command(0, counts, *arguments)
            environment = os.environ | ({} if sent == signal.SIGTERM else {"RAY_ADDRESS": "local"})
            driver = subprocess.Popen(command, stdout=words, stderr=words, env=environment)
        code = ended_by(driver, run, len(finished) + 5, sent)
        after = parts(run)
        assert {name: after[name] for name in finished} == finished, f"before {sent}, finished shards were done again"
        finished = after
        assert len(finished) < IMAGES // SHARD
        assert not (run / "_SUCCESS").exists()
        if sent != signal.SIGKILL:
            assert code == 1
            said = log.read_text()
            assert "run the same command again" in said
            assert "Traceback" not in said
            assert not list((run / "parts").glob(".partial-*"))
    again = cli(*arguments)
    assert again.returncode == 0, again.stderr
    check_whole(run)
    assert (run / "_SUCCESS").exists()
    after = parts(run)
    assert {name: after[name] for name in finished} == finished, "finished shards were done again"


def ray_processes(name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() and process.cmdline()[0].startswith(f"ray::{name}"):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Disturber(threading.Thread):
    """Kills processes of Ray that have such a title, each a few parts after the one before.

    Args:
        run: the run's folder.
        title: how their titles begin.
        kills: how many.
        then: called after the last.
    """

    def __init__(self, run: Path, title: str, kills: int, then: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._run, self._title, self._kills, self._then = run, title, kills, then
        self.kills = 0
        self.ended = threading.Event()

    def run(self) -> None:
        published = 3
        while self.kills < self._kills and not self.ended.wait(0.005):
            if len(parts(self._run)) < published:
                continue
            for process in ray_processes(self._title)[:1]:
                process.kill()
                self.kills += 1
                published = len(parts(self._run)) + 4
        self._then()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["Paced", "load"])
def test_scorers_and_loaders_die_and_the_scan_goes_on(
    ray_here: None, many: Path, counts: Path, tmp_path: Path, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "Scorer", paced.paced(5.0, counts))
    run = tmp_path / "run"
    if victim == "Paced":  # held scorers leave loaders nothing to do
        paced.hold(counts, ALLOWED)
    disturber = Disturber(run, victim, 3, partial(paced.release, counts))
    disturber.start()
    try:
        settings = ScanSettings(str(many), str(run), engine="stand-in", shard_images=SHARD)
        outcome = scan(settings, Console(quiet=True))
    finally:
        disturber.ended.set()
        disturber.join()
    assert disturber.kills == 3, "the scan ended before it could be disturbed"
    assert outcome.failed == {}
    check_whole(run)
    with open_existing(run) as opened:
        assert opened.record["sessions"][-1]["retried_blocks"] >= 1


class Killer(threading.Thread):
    """Does what the operating system does when memory runs out: kills, without a word, the loader that takes most."""

    def __init__(self, megabytes: int) -> None:
        super().__init__(daemon=True)
        self.limit = megabytes * 2**20
        self.kills = 0
        self.ended = threading.Event()

    def run(self) -> None:
        at_rest: dict[int, int] = {}
        while not self.ended.wait(0.05):
            for process in ray_processes("load"):
                try:
                    memory = process.memory_info().rss
                    if memory - at_rest.setdefault(process.pid, memory) > self.limit:
                        process.kill()
                        self.kills += 1
                except psutil.Error:
                    continue


@pytest.mark.slow
def test_image_over_which_loaders_are_killed_for_memory_gets_a_row_and_costs_no_other(
    ray_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_images(tmp_path / "archive", 129)  # the second block holds one of them, and the huge one
    side = 7_900
    Image.new("RGB", (side, side)).save(tmp_path / "archive/huge.png")  # 62 megapixels: 320 MB while it is decoded
    killer = Killer(150)
    killer.start()
    try:
        settings = ScanSettings(str(tmp_path / "archive"), str(tmp_path / "run"), engine="stand-in")
        outcome = scan(settings, Console(quiet=True))
    finally:
        killer.ended.set()
        killer.join()
    assert killer.kills >= 3
    assert outcome.failed == {}
    with open_existing(tmp_path / "run") as run:
        assert run.check().whole
        rows = {row["key"]: row for table in run.parts() for row in table.to_pylist()}
    assert set(rows) == {*keys, "huge"}
    assert rows["huge"]["status"] == "unreadable"
    assert "the process that read this image died" in rows["huge"]["error"]
    assert all(rows[key]["status"] == "ok" for key in keys)


KILLED_BY_RAY = """
import time, ray
from crater_ray.scanning.cluster import connected
from crater_ray.scanning.faults import classify
with connected(None):
    try:
        ray.get(ray.remote(lambda: time.sleep(600)).options(max_retries=0).remote())
    except ray.exceptions.RayError as problem:
        print(type(problem).__name__, classify(problem).name)
"""


@pytest.mark.slow
def test_process_that_ray_kills_for_memory_counts_as_one_that_the_system_killed() -> None:
    """Ray steps in before the system does, where it can; an image may be the cause of that, too."""
    settings = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}  # any use is too much
    answer = subprocess.run(
        [sys.executable, "-c", KILLED_BY_RAY],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert answer.stdout.split() == ["OutOfMemoryError", "CRASH"], answer.stderr[-2000:]


MAD_CLOCK = """
import datetime, itertools, random, sys, time

jumps, counts = random.Random(int(sys.argv.pop(1))), sys.argv.pop(1)
tell = time.time
mad = lambda: tell() + jumps.uniform(-90_000, 90_000)
time.time = mad
if sys.argv[1] == "scan":
    import ray
    connect = ray.init

    def init(*arguments, **options):
        # Ray gives up on a start that lasts long by this clock; what is looked at here is crater-ray.
        time.time = tell
        try:
            return connect(*arguments, **options)
        finally:
            time.time = mad

    ray.init = init

class Mad(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=jumps.uniform(-90_000, 90_000))

from crater_ray import cli
from crater_ray.runs import part
from crater_ray.runs import run
if counts:
    from pathlib import Path
    from benchmarks.paced import paced
    from crater_ray.scanning import tasks
    tasks.Scorer = paced(0, Path(counts))
part.datetime = run.datetime = Mad  # not in the module of the standard library: compiled code relies on its own
cli.main()
"""


@pytest.mark.slow
def test_clock_that_jumps_by_a_day_either_way_changes_nothing(
    shared_ray: None, many: Path, counts: Path, tmp_path: Path
) -> None:
    """Every look at the wall clock gives another time, of yesterday or tomorrow; the driver is killed in between."""
    run = tmp_path / "run"
    paced.hold(counts, ALLOWED)
    arguments = ["scan", str(many), "--out", str(run), "--engine", "stand-in", "--shard-images", str(SHARD)]
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", MAD_CLOCK, "1", str(counts), *arguments]
        driver = subprocess.Popen(command, stdout=log, stderr=log)
    ended_by(driver, run, 5, signal.SIGKILL)
    finished = parts(run)
    for number, words in enumerate((arguments, ["verify", str(run)], ["status", str(run)])):
        done = subprocess.run(
            [sys.executable, "-c", MAD_CLOCK, str(number + 2), "", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert "images a minute in the last session" in done.stdout
    check_whole(run)
    after = parts(run)
    assert {name: after[name] for name in finished} == finished, "finished shards were done again"


def test_nothing_is_decided_by_the_wall_clock() -> None:
    """Durations, retries, leases and rates go by `time.monotonic`; the wall clock is only written down."""
    package = Path(__file__).parents[2] / "crater_ray"
    written_down = {"runs/run.py", "runs/part.py", "results/gallery/pages.py"}
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        names = {f"{node.value.id}.{node.attr}" for node in attributes if isinstance(node.value, ast.Name)}
        assert not names & {"time.time", "time.localtime", "time.gmtime", "datetime.utcnow", "datetime.today"}, path
        assert "datetime.now" not in names or path.relative_to(package).as_posix() in written_down, path
