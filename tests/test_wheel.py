"""The wheel holds `crater_ray` alone, and scans where no checkout is."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import crater_ray
from tests.conftest import PATIENCE

ROOT = Path(__file__).parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Output of a command that must do well; neither a package host nor a checkout on PYTHONPATH is there for it."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PIP_NO_INDEX": "1"}
    answer = subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; the project's dependencies are there, its checkout is not.

    The folder that a .pth file names comes last in the search path, and .pth files in that folder, such as the one of
    an editable install, are not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    run(*PIP, "--python", folder / "bin" / "python", "install", "--no-deps", wheel)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_it_holds_every_file_of_crater_ray_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    files = {path for path in (ROOT / "crater_ray").rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    assert names == {str(path.relative_to(ROOT)) for path in files}
    assert {"crater_ray/py.typed", "crater_ray/network/bundles/stardust/weights.npz"} <= names
    assert "crater_ray/results/gallery/assets/index.html" in names


@pytest.mark.slow
def test_its_command_scans_with_the_shipped_network(environment: Path, tmp_path: Path) -> None:
    asked = """
import importlib.metadata, importlib.util
print(importlib.util.find_spec("crater_ray").origin, importlib.metadata.version("crater-ray"))
print([name for name in ("training", "benchmarks", "testbed", "cluster", "tests") if importlib.util.find_spec(name)])
"""
    origin, version, others = run(environment / "bin" / "python", "-c", asked, cwd=tmp_path).split(maxsplit=2)
    assert Path(origin).is_relative_to(environment)
    assert version == crater_ray.__version__
    assert others.strip() == "[]"

    def command(*words: str) -> str:
        return run(environment / "bin" / "crater-ray", *words, cwd=tmp_path)

    command("simulate", "images", "--images", "4", "--craters", "2")
    command("scan", "images", "--out", "RUN")
    command("verify", "RUN")
    command("candidates", "RUN", "--threshold", "0", "--csv", "all.csv")
    command("gallery", "RUN", "--threshold", "0")
    with (tmp_path / "all.csv").open(encoding="utf-8") as lines:
        assert len(list(csv.DictReader(lines))) == 4
    assert json.loads((tmp_path / "RUN" / "_SUCCESS").read_text(encoding="utf-8"))["statuses"] == {"ok": 4}
    assert (tmp_path / "RUN-gallery" / "index.html").is_file()


def test_changes_citation_and_images_have_the_version_of_the_package() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {crater_ray.__version__} - 20" in changes
    assert f"\nversion: {crater_ray.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    files = [
        path.read_bytes().decode()
        for path in (ROOT / "cluster").rglob("*")
        if path.suffix in ("", ".md", ".yaml") and path.is_file()
    ]
    tags = {tag for text in files for tag in re.findall(r"crater-ray:([\d.]+)-[cg]pu", text)}
    assert tags == {crater_ray.__version__}
