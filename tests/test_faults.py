"""Processes that die in mid-run: nothing is lost, nothing is scored twice, finished shards are not done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from crater_ray import bundle, lease
from crater_ray.errors import CraterRayError
from crater_ray.folder import LocalFolder, open_folder
from crater_ray.lease import Lease
from crater_ray.run import open_existing
from crater_ray.scan import Outcome, scan
from crater_ray.session import open_run_folder
from crater_ray.settings import ScanSettings
from tests.conftest import CLI, make_images

IMAGES = 3_000
SHARD = 50


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 images: 100 different ones under 30 names each."""
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


def check_whole(run: Path) -> None:
    with open_existing(run) as opened:
        check = opened.check()
        assert check.whole, check.problems
        keys = [key for rows in opened.parts() for key in rows["key"].to_pylist()]
    assert len(keys) == len(set(keys)) == IMAGES
    assert check.statuses == {"ok": IMAGES}


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_driver_dies_and_the_same_command_goes_on(many: Path, tmp_path: Path, sent: signal.Signals) -> None:
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
from crater_ray import bundle, lease
from crater_ray.folder import LocalFolder, open_folder
lease.BEAT_SECONDS = 0.2
with lease.Lease(open_folder(sys.argv[1]), print):
    time.sleep(60)
"""


def test_second_scan_on_the_same_run_sees_the_first(many: Path, tmp_path: Path) -> None:
    settings = ScanSettings(str(many), str(tmp_path / "run"), engine="stand-in")
    run = open_run_folder(settings, bundle.load(), "stand-in", {})
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


class Meanwhile(LocalFolder):
    """A folder in which another scan writes its lease in the same moment, a little later."""

    def publish(self, name: str, data: bytes | Path) -> None:
        super().publish(name, data)
        if name == lease.NAME:
            super().publish(name, json.dumps({"holder": "x", "host": "elsewhere", "pid": 7, "count": 0}).encode())


def test_of_two_leases_in_one_moment_the_later_holds(tmp_path: Path) -> None:
    with (
        pytest.raises(CraterRayError, match=r"Another scan is at work.*process 7 on elsewhere"),
        Lease(Meanwhile(tmp_path), lambda _: None),
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
