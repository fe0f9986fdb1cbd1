"""The command line as a whole: its version, and options that several commands share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
import typer

import crater_ray
from crater_ray.cli.app import app

Cli = Callable[..., subprocess.CompletedProcess[str]]


def options(command: str) -> dict[str, tuple[object, str | None]]:
    """Each option of a command, with its default and help."""
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return {one.opts[0]: (one.default, one.help) for one in found.params if one.opts[0].startswith("-")}


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    answer = cli("--version")
    assert (answer.returncode, answer.stdout) == (0, f"crater-ray {crater_ray.__version__}\n")


def test_a_rescan_has_every_option_of_a_scan() -> None:
    scan, rescan = options("scan"), options("rescan")
    assert "--screen" in scan
    assert set(scan) - set(rescan) == {"--base"}
    assert {name: said for name, said in rescan.items() if name in scan} == {
        name: said for name, said in scan.items() if name != "--base"
    }


@pytest.mark.parametrize("wrong", [("--shard-images", "x"), ("--threshold", "2"), ("--nothing",)])
def test_wrong_options_end_with_exit_2(cli: Cli, wrong: tuple[str, ...]) -> None:
    for command in ("scan", "rescan"):
        answer = cli(command, "nowhere", "--out", "nothing", *wrong)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert wrong[0] in answer.stderr
