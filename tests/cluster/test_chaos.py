"""The chaos run in small: nodes, scorers, loaders, drivers and a bad storage die; nothing is lost or doubled.

The run itself is killed once, and goes on from its folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import image_set
from benchmarks.app import app
from crater_ray.errors import UsageError
from testbed.local_cluster import QUICK_HEALTH_CHECK
from tests.conftest import PATIENCE


def killed(state: Path) -> dict[str, int]:
    """What a run has killed so far, by kind."""
    path = state / "state.json"
    return dict(json.loads(path.read_text())["killed"]) if path.exists() else {}


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
def test_chaos_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_set, "CACHE", tmp_path)
    record = tmp_path / "chaos.json"
    for name, value in QUICK_HEALTH_CHECK.items():
        monkeypatch.setenv(name, value)
    arguments = ["chaos", "--minutes", "0.2", "--images", "400", "--kills", "6", "--shard-images", "10"]
    arguments += ["--distinct", "6", "--seed", "3", "--faults", "0.1", "--redone", "1", "--json", str(record)]
    state = tmp_path / "state"
    arguments += ["--state", str(state)]
    with subprocess.Popen([sys.executable, "-m", "benchmarks", *arguments], stdout=subprocess.DEVNULL) as first:
        while first.poll() is None and sum(killed(state).values()) < 3:
            time.sleep(0.1)
        assert first.poll() is None, "it ended by itself"
        first.kill()
    before = killed(state)
    refused = CliRunner().invoke(app, [*arguments, "--distinct", "7"])
    assert isinstance(refused.exception, UsageError) and "run of other settings" in str(refused.exception)
    assert killed(state) == before
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output[-3000:] + str(result.exception)
    figures = json.loads(record.read_text())["figures"]
    assert (figures["lost"], figures["doubled"], figures["not_ok"], figures["verify_exit"]) == (0, 0, 0, 0)
    assert figures["kills"] == 6 > sum(before.values())
    assert all(figures[f"{kind}s_killed"] >= count for kind, count in before.items()), (before, figures)
    assert all(figures[f"{kind}s_killed"] for kind in ("node", "scorer", "loader", "driver", "server")), figures
    assert sum(figures["faults"].values()) > 20
    assert figures["scored"] >= 400
