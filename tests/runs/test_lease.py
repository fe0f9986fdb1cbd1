"""The lease of a run: a second scan keeps away from one at work, and takes over from one that is dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from crater_ray.errors import CraterRayError
from crater_ray.network import bundle
from crater_ray.runs import lease
from crater_ray.runs.lease import Lease
from crater_ray.scanning.scan import open_run_folder, scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from crater_ray.storage.folder import Folder, open_folder
from crater_ray.storage.local import LocalStore

HOLDER = """
import sys, time
from crater_ray.network import bundle
from crater_ray.runs import lease
from crater_ray.storage.folder import open_folder
lease.BEAT_SECONDS = 0.2
with lease.Lease(open_folder(sys.argv[1]), print):
    time.sleep(600)
"""


def test_second_scan_on_the_same_run_sees_the_first(archive: Path, tmp_path: Path) -> None:
    settings = ScanSettings(str(archive), str(tmp_path / "run"), engine="stand-in")
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
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.5)
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
