"""What a scan says and records of its engine, what it goes on with, and what its processes never import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crater_ray.runs.run import open_existing
from tests.conftest import Cli

pytest.importorskip("openvino")

WATCH = """
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras", "jax", "torch"):
            with open({log!r}, "a") as log:
                log.write(name + " by " + " ".join(sys.argv[:3]) + "\\n")

sys.meta_path.insert(0, Watch())
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", ["untrained", "finder"])
def test_a_scan_by_openvino_imports_no_tensorflow(network: str, archive: Path, untrained: Path, tmp_path: Path) -> None:
    """Not in any of its processes: the command, the trial, loaders, scorers and Ray's own."""
    log = tmp_path / "imports"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    path = [str(tmp_path / "site"), str(Path(__file__).parents[2])]
    environment |= {"PYTHONPATH": os.pathsep.join(path), "CUDA_VISIBLE_DEVICES": ""}
    bundle = untrained if network == "untrained" else network
    settings = ["--bundle", str(bundle), "--limit", "12", "--threshold", "0", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "crater_ray.cli", "scan", str(archive), *settings]
    if Path("/dev/nvidia0").exists():
        command += ["--engine", "openvino-float"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 ok; 12 candidates" in done.stderr
    assert not log.exists(), log.read_text()
    with open_existing(tmp_path / "run") as run:
        assert run.record["settings"]["engine"].startswith("openvino")
    subprocess.run(
        [sys.executable, "-c", "import importlib.util; importlib.util.find_spec('keras')"], env=environment, check=True
    )
    assert log.exists(), "the watch would have seen it"


@pytest.mark.slow
def test_the_engine_is_said_recorded_and_kept_by_its_run(
    archive: Path, untrained: Path, tmp_path: Path, shared_ray: None, cli: Cli
) -> None:
    """Beside a cluster `auto` is keras; a run that began with another engine goes on with that."""
    settings = ("--bundle", str(untrained), "--limit", "12", "--shard-images", "6")
    rehearsed = cli("scan", archive, "--out", tmp_path / "run", *settings, "--engine", "stand-in", "--dry-run")
    assert "engine stand-in" in rehearsed.stderr
    begun = cli("scan", archive, "--out", tmp_path / "run", *settings, "--engine", "stand-in")
    assert begun.returncode == 0, begun.stderr
    (tmp_path / "run" / "parts" / "part-00001.parquet").unlink()
    (tmp_path / "run" / "_SUCCESS").unlink()
    again = cli("scan", archive, "--out", tmp_path / "run", *settings)
    assert again.returncode == 0, again.stderr
    assert "engine stand-in: as the run began" in again.stderr
    sessions = json.loads((tmp_path / "run" / "run.json").read_text())["sessions"]
    assert [session["engine"]["why"] for session in sessions] == ["as asked", "as the run began"]
    assert all(session["engine"]["engine"] == "stand-in" for session in sessions)
    other = cli("scan", archive, "--out", tmp_path / "run", *settings, "--engine", "openvino-float")
    assert other.returncode == 2
    assert "engine: the run has 'stand-in'" in other.stderr
