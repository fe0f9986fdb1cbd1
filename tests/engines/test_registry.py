"""The registry: an engine is a file and an entry, and nothing else has to know of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import crater_ray
from crater_ray.engines.entry import Entry
from crater_ray.engines.registry import ENGINES, as_help, as_markdown, create, find
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.runs.run import open_existing

MADE_UP = '''
"""A made-up engine: the brightest pixel."""

import numpy as np

from crater_ray.engines.entry import Entry
from crater_ray.engines.stand_in import StandInScreen
from crater_ray.network.evidence import Evidence


class Brightest:
    stage, device, kind = "brightest", "CPU, made up", "cpu"

    def score(self, images):
        zeros = np.zeros((len(images), 32))
        scores = images.max(axis=(1, 2)) / np.float32(255)
        return Evidence(scores.astype(np.float32), zeros.astype(np.float32), zeros.astype(np.int32))


ENTRY = Entry(
    name="made-up",
    numbers="float32",
    about="for a test",
    kind="cpu",
    make=lambda bundle, threads: Brightest(),
    make_screen=lambda bundle, screen, threads: StandInScreen(screen),
)
'''
REGISTERED = """
from crater_ray.engines.made_up import ENTRY
ENGINES[ENTRY.name] = ENTRY
"""


@pytest.mark.slow
def test_a_new_engine_touches_its_room_alone(archive: Path, untrained: Path, tmp_path: Path) -> None:
    """In a copy of the package, an engine is added as CONTRIBUTING says; help, errors and a scan know it."""
    package = tmp_path / "copy" / "crater_ray"
    shutil.copytree(Path(crater_ray.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "engines" / "made_up.py").write_text(MADE_UP)
    with (package / "engines" / "registry.py").open("a") as registry:
        registry.write(REGISTERED)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(package.parent), "COLUMNS": "200"}
        command = [sys.executable, "-m", "crater_ray.cli", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
        )

    assert "made-up" in run("scan", "--help").stdout
    settings = ("--bundle", untrained, "--limit", 12)
    assert "made-up" in run("scan", archive, "--out", tmp_path / "run", *settings, "--engine", "magic").stderr
    done = run("scan", archive, "--out", tmp_path / "run", *settings, "--engine", "made-up")
    assert done.returncode == 0, done.stderr
    with open_existing(tmp_path / "run") as opened:
        rows = [row for part in opened.parts() for row in part.to_pylist()]
        assert opened.record["settings"]["engine"] == "made-up"
    assert len(rows) == 12
    assert {row["stage"] for row in rows} == {"brightest"}
    assert {row["bundle"] for row in rows} == {bundles.load(untrained).id}
    assert all(row["score"] > 0.1 for row in rows)


def test_twins_are_float32_and_calibrations_have_a_place() -> None:
    for entry in ENGINES.values():
        if entry.exact:
            assert find(entry.exact).numbers == "float32"
            assert find(entry.exact).exact is None
        assert not entry.calibrated or entry.card
        assert f"`{entry.name}`" in as_markdown()
        assert entry.name in as_help()


def test_a_missing_package_is_explained(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking: Entry = replace(find("stand-in"), name="lacking", package="no_such_package", install="pip install it")
    monkeypatch.setitem(ENGINES, "lacking", lacking)
    with pytest.raises(UsageError, match=r"--engine lacking needs the package no_such_package.*pip install it"):
        create("lacking", bundles.load(untrained))


@pytest.mark.parametrize("name", ["keras", "stand-in", "openvino-float"])
def test_engines_say_their_kind_of_device(untrained: Path, name: str) -> None:
    entry = find(name)
    if not entry.installed:
        pytest.skip(f"{entry.package} is not installed")
    assert create(name, bundles.load(untrained)).kind == "cpu"
