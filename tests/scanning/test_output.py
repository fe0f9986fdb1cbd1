"""Outputs that cannot be written any more: the scan ends in one line, and the same command goes on later."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from crater_ray.runs import part
from crater_ray.runs import run as run_folder
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.errors import StorageError
from tests.conftest import Cli, make_images


@pytest.mark.slow
def test_full_disk_ends_in_one_line_and_the_run_goes_on_later(
    ray_here: None, archive: Path, tmp_path: Path, cli: Cli
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        arguments = ("scan", archive, "--out", disk / "run", "--engine", "stand-in", "--shard-images", "8")
        full = cli(*arguments)
        assert full.returncode == 1
        assert "no room left" in full.stderr
        assert "Traceback" not in full.stderr
        assert not open_existing(disk / "run").check().whole
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        assert cli(*arguments).returncode == 0
        assert cli("verify", disk / "run").returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.slow
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
        subprocess.run(["umount", "-l", str(disk)], check=False)
