"""Processes that die in mid-run: nothing is lost, nothing is scored twice, finished shards are not done again."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console

from crater_ray.errors import CraterRayError
from crater_ray.network import bundle
from crater_ray.runs import lease, part
from crater_ray.runs import run as run_folder
from crater_ray.runs.lease import Lease
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import Outcome, open_run_folder, scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.storage.folder import Folder, open_folder
from crater_ray.storage.local import LocalStore
from tests.conftest import CLI, make_images

IMAGES = 9_000  # so many that a scan of them is never over before it can be disturbed, on a busy machine too
SHARD = 50


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9,000 images: 100 different ones under 90 names each."""
    folder = tmp_path_factory.mktemp("many")
    keys = make_images(folder / "0", 100)
    for copy in range(1, IMAGES // 100):
        for key in keys:
            target = folder / str(copy) / key / f"{key}-001.jpg"
            target.parent.mkdir(parents=True)
            os.link(folder / "0" / key / f"{key}-001.jpg", target)
    return folder


def parts(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (run / "parts").glob("part-*.parquet")}


def wait_for_parts(run: Path, count: int, process: subprocess.Popen[bytes] | threading.Thread) -> None:
    stop = time.monotonic() + 90
    while time.monotonic() < stop:
        if len(parts(run)) >= count:
            return
        alive = process.poll() is None if isinstance(process, subprocess.Popen) else process.is_alive()
        assert alive, "the scan ended before it could be disturbed"
        time.sleep(0.02)
    raise AssertionError("no parts were published in time")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests that were started in the background ignore Ctrl-C, and so would all that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def check_whole(run: Path) -> None:
    with open_existing(run) as opened:
        check = opened.check()
        assert check.whole, check.problems
        keys = [key for rows in opened.parts() for key in rows["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == IMAGES
    assert check.statuses == {"ok": IMAGES}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_driver_dies_and_the_same_command_goes_on(
    many: Path, tmp_path: Path, interruptible: None, sent: signal.Signals
) -> None:
    run = tmp_path / "run"
    command = [CLI, "scan", str(many), "--out", str(run), "--engine", "stand-in", "--shard-images", str(SHARD)]
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log)
    wait_for_parts(run, 5, driver)
    driver.send_signal(sent)
    code = driver.wait(60)
    finished = parts(run)
    assert 5 <= len(finished) < IMAGES // SHARD
    assert not (run / "_SUCCESS").exists()
    if sent != signal.SIGKILL:
        assert code == 1
        said = (tmp_path / "log").read_text()
        assert "run the same command again" in said
        assert "Traceback" not in said
    again = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert again.returncode == 0, again.stderr
    check_whole(run)
    assert (run / "_SUCCESS").exists()
    after = parts(run)
    assert {name: after[name] for name in finished} == finished, "finished shards were done again"
    assert not list((run / "parts").glob(".partial-*")) or sent == signal.SIGKILL


HOLDER = """
import sys, time
from crater_ray.network import bundle
from crater_ray.runs import lease
from crater_ray.storage.folder import open_folder
lease.BEAT_SECONDS = 0.2
with lease.Lease(open_folder(sys.argv[1]), print):
    time.sleep(60)
"""


def test_second_scan_on_the_same_run_sees_the_first(many: Path, tmp_path: Path) -> None:
    settings = ScanSettings(str(many), str(tmp_path / "run"), engine="stand-in")
    run = open_run_folder(settings, bundle.load(), "stand-in")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")])
    try:
        while not (tmp_path / "run" / lease.NAME).exists():
            assert holder.poll() is None
            time.sleep(0.05)
        with pytest.raises(CraterRayError, match=f"Another scan is at work.*process {holder.pid}"):
            scan(settings, Console(quiet=True))
    finally:
        holder.kill()
        holder.wait()
    with Lease(run.folder, lambda _: None):  # its holder is dead: no need to watch
        assert json.loads(run.folder.read(lease.NAME))["pid"] == os.getpid()
    assert not (tmp_path / "run" / lease.NAME).exists()


def test_lease_of_another_machine_that_stays_silent_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "WATCH_SECONDS", 2.5)
    folder = open_folder(tmp_path)
    folder.publish(lease.NAME, json.dumps({"holder": "x", "host": "elsewhere", "pid": 1, "count": 7}).encode())
    said: list[str] = []
    with Lease(folder, said.append):
        assert json.loads(folder.read(lease.NAME))["host"] != "elsewhere"
    assert "process 1 on elsewhere" in said[0]


class Meanwhile(Folder):
    """A folder in which another scan writes its lease in the same moment, a little later."""

    def publish(self, name: str, data: bytes | Path) -> None:
        super().publish(name, data)
        if name == lease.NAME:
            super().publish(name, json.dumps({"holder": "x", "host": "elsewhere", "pid": 7, "count": 0}).encode())


def test_of_two_leases_in_one_moment_the_later_holds(tmp_path: Path) -> None:
    with (
        pytest.raises(CraterRayError, match=r"Another scan is at work.*process 7 on elsewhere"),
        Lease(Meanwhile(LocalStore(Access()), str(tmp_path)), lambda _: None),
    ):
        pass
    assert json.loads(open_folder(tmp_path).read(lease.NAME))["holder"] == "x", "the other's lease was taken away"


def test_lease_that_was_taken_over_is_left_to_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    folder = open_folder(tmp_path)
    with Lease(folder, lambda _: None) as held:
        while not json.loads(folder.read(lease.NAME))["count"]:
            time.sleep(0.01)
        other = {"holder": "x", "host": "elsewhere", "pid": 7, "count": 0}
        folder.publish(lease.NAME, json.dumps(other).encode())
        counted = held.count
        while held.count < counted + 3:
            time.sleep(0.01)
    assert json.loads(folder.read(lease.NAME)) == other


def ray_processes(name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() and process.cmdline()[0].startswith(f"ray::{name}"):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("victim", ["Scorer", "load"])
def test_scorers_and_loaders_die_and_the_scan_goes_on(ray_here: None, many: Path, tmp_path: Path, victim: str) -> None:
    run = tmp_path / "run"
    settings = ScanSettings(str(many), str(run), engine="stand-in", shard_images=SHARD)
    outcomes: list[Outcome] = []
    scanning = threading.Thread(target=lambda: outcomes.append(scan(settings, Console(quiet=True))))
    scanning.start()
    killed = 0
    published = 3
    while killed < 3:
        wait_for_parts(run, published, scanning)
        victims = ray_processes(victim)
        for process in victims[:1]:
            process.kill()
            killed += 1
            published = len(parts(run)) + 4
        time.sleep(0.005)
    scanning.join(120)
    assert outcomes, "the scan ended in an error"
    assert outcomes[0].failed == {}
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
        ray.get(ray.remote(lambda: time.sleep(60)).options(max_retries=0).remote())
    except ray.exceptions.RayError as problem:
        print(type(problem).__name__, classify(problem).name)
"""


def test_process_that_ray_kills_for_memory_counts_as_one_that_the_system_killed() -> None:
    """Ray steps in before the system does, where it can; an image may be the cause of that, too."""
    settings = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}  # any use is too much
    answer = subprocess.run(
        [sys.executable, "-c", KILLED_BY_RAY],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.stdout.split() == ["OutOfMemoryError", "CRASH"], answer.stderr[-2000:]


def test_output_that_becomes_read_only_ends_in_one_line_and_the_run_goes_on_later(
    ray_here: None, tmp_path: Path
) -> None:
    source = tmp_path / "archive"
    make_images(source, 60)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    settings = ScanSettings(str(source), str(disk / "run"), engine="stand-in", shard_images=5)
    try:
        publish = run_folder.Run.publish

        def publish_and_lock(run: run_folder.Run, shard: int, rows: pa.Table) -> part.Footer:
            footer = publish(run, shard, rows)
            if shard == 3:
                # The system refuses as long as another part is being written.
                while subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False).returncode:
                    time.sleep(0.02)
            return footer

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_folder.Run, "publish", publish_and_lock)
            with pytest.raises(StorageError, match="may not be written or read"):
                scan(settings, Console(quiet=True))
        with open_existing(disk / "run") as run:
            done = len(run.check().parts)
        assert 1 <= done < 12
        with pytest.raises(StorageError, match="may not be written or read"):
            scan(settings, Console(quiet=True))
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        outcome = scan(settings, Console(quiet=True))
        assert outcome.check.whole
        assert outcome.images == 60 - 5 * done
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


MAD_CLOCK = """
import datetime, itertools, random, sys, time

jumps = random.Random(int(sys.argv.pop(1)))
tell = time.time
time.time = lambda: tell() + jumps.uniform(-90_000, 90_000)

class Mad(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=jumps.uniform(-90_000, 90_000))

from crater_ray import cli
from crater_ray.runs import part
from crater_ray.runs import run
part.datetime = run.datetime = Mad  # not in the module of the standard library: compiled code relies on its own
cli.main()
"""


def test_clock_that_jumps_by_a_day_either_way_changes_nothing(many: Path, tmp_path: Path) -> None:
    """Every look at the wall clock gives another time, of yesterday or tomorrow; the driver is killed in between."""
    run = tmp_path / "run"
    arguments = ["scan", str(many), "--out", str(run), "--engine", "stand-in", "--shard-images", str(SHARD)]
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen([sys.executable, "-c", MAD_CLOCK, "1", *arguments], stdout=log, stderr=log)
    wait_for_parts(run, 5, driver)
    driver.kill()
    driver.wait(60)
    finished = parts(run)
    for number, command in enumerate((arguments, ["verify", str(run)], ["status", str(run)])):
        done = subprocess.run(
            [sys.executable, "-c", MAD_CLOCK, str(number + 2), *command],
            capture_output=True,
            text=True,
            timeout=200,
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
