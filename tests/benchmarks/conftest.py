"""What tests of benchmarks share: commands on tiny inputs, their images, and a bundle with a screen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import image_set
from benchmarks.app import app

Measure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture
def measure(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Runs a command and gives what it wrote."""
    monkeypatch.setattr(image_set, "CACHE", cache)

    def run(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
        path = tmp_path / f"{arguments[0]}.json"
        result = CliRunner().invoke(app, [*arguments, "--json", str(path)])
        assert result.exit_code == exit_code, result.output + str(result.exception)
        record: dict[str, Any] = json.loads(path.read_text())
        assert record["benchmark"] == arguments[0]
        assert record["environment"]["cores"] >= 1
        assert record["figures"]
        return record

    return run


@pytest.fixture(scope="session")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random bundle with a random screen for small images."""
    from benchmarks.options import bundle_folder
    from tests.made_screens import screened_bundle

    folder = tmp_path_factory.mktemp("bundles")
    return screened_bundle(bundle_folder("random", folder), folder / "screened", size=(96, 100), full_threshold=0.4)
