"""Lists in order of image quality, flagged by conditions, with diameters in nm; every image stays in them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.made_runs import make_run, row


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [
        row("a", 0.9, focus=1.5, noise=4.0, contrast=0.4, saturated=0.0, pixel_nm=50.0, diameter=10.0, x=1.0, y=2.0),
        row("b", 0.8, focus=1.0, noise=2.0, contrast=0.3, saturated=0.2, diameter=8.0, x=1.0, y=2.0),
        row("c", 0.7, focus=3.0, noise=8.0, contrast=0.1, saturated=0.0, pixel_nm=25.0, x=1.0, y=2.0),
        row("d", 0.6),
    ]
    make_run(tmp_path / "run", rows)
    return tmp_path / "run"


def listed(cli: Cli, run: Path, *options: str) -> list[dict[str, str]]:
    answer = cli("candidates", run, "--csv", run.parent / "out.csv", *options)
    assert answer.returncode == 0, answer.stderr
    return list(csv.DictReader((run.parent / "out.csv").open()))


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        ("focus", "bacd"),
        ("-focus", "cabd"),
        ("-noise", "cabd"),
        ("saturated", "acbd"),
        ("key", "abcd"),
        ("-key", "dcba"),
    ],
)
def test_another_order(cli: Cli, run: Path, sort: str, keys: str) -> None:
    assert [one["key"] for one in listed(cli, run, "--sort", sort)] == list(keys)


def test_a_budget_takes_the_best_scores_in_any_order(cli: Cli, run: Path) -> None:
    assert [one["key"] for one in listed(cli, run, "--budget", "2", "--sort", "focus")] == ["b", "a"]


def test_flags_name_conditions_and_leave_nothing_out(cli: Cli, run: Path, tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("key,bad_focus\na,80\nb,90\n")
    flag = ("--flag", "focus  < 1.2", "--flag", "saturated > 0.1 or contrast < 0.2")
    rows = listed(cli, run, *flag, "--table", str(tmp_path / "images.csv"))
    both = "saturated > 0.1 or contrast < 0.2"
    assert {one["key"]: one["flags"] for one in rows} == {
        "a": "bad_focus",
        "b": f"bad_focus, focus < 1.2, {both}",
        "c": both,
        "d": "",
    }
    said = cli("candidates", run, *flag, "--table", tmp_path / "images.csv").stdout
    assert "4 candidates" in said
    assert "2 of them are flagged bad_focus; none is left out for it." in said
    assert "1 of them are flagged focus < 1.2" in said


def test_diameters_in_nm_follow_the_images_pixels(cli: Cli, run: Path) -> None:
    by_key = {one["key"]: one for one in listed(cli, run)}
    assert [by_key[key]["diameter_nm"] for key in "abcd"] == ["500", "", "", ""]
    by_key = {one["key"]: one for one in listed(cli, run, "--pixel-size", "40")}
    assert [by_key[key]["diameter_nm"] for key in "abcd"] == ["400", "320", "", ""]
    assert by_key["d"]["pixel_nm"] == "40"
    answer = cli("candidates", run, "--reimage", run.parent / "again.csv")
    assert answer.returncode == 0, answer.stderr
    again = {one["key"]: one for one in csv.DictReader((run.parent / "again.csv").open())}
    assert (again["a"]["diameter_nm"], again["b"]["diameter_nm"]) == ("500", "")
    assert float(again["a"]["right_um"]) == pytest.approx(-58.5 * 0.05)
    assert again["b"]["right_um"] == ""


def test_what_is_no_column_or_condition_is_refused(cli: Cli, run: Path) -> None:
    for wrong in (("--sort", "sharpness"), ("--sort", "places"), ("--flag", "focus <")):
        answer = cli("candidates", run, *wrong)
        assert answer.returncode == 2
        assert "received" in answer.stderr
