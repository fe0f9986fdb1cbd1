"""What changed between two runs: gained, lost, moved, and how far they agree."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.results.compare.comparison import MOVED_PX, compare
from crater_ray.results.compare.scatter import scatter
from tests.conftest import Cli
from tests.in_browser import new_page, visit
from tests.made_runs import ODD_KEYS, make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# key: score and place in A, score and place in B
CASES: dict[str, tuple[float | None, tuple[float, float] | None, float | None, tuple[float, float] | None]] = {
    "kept": (0.9, (10, 10), 0.8, (10, 10)),
    "moved far": (0.9, (10, 10), 0.8, (110, 10)),
    "moved farther": (0.6, (0, 0), 0.6, (300, 400)),
    "moved a little": (0.9, (10, 10), 0.8, (10 + MOVED_PX, 10)),
    "no place": (0.9, None, 0.8, (110, 10)),
    "gained": (0.2, (1, 1), 0.7, (2, 2)),
    "gained more": (0.499, None, 0.99, (2, 2)),
    "gained, unreadable before": (None, None, 0.6, (5, 5)),
    "lost": (0.5, (3, 3), 0.49, (3, 3)),
    "lost elsewhere": (0.9, (0, 0), 0.1, (90, 90)),
    "lost, unreadable now": (0.95, (3, 3), None, None),
    "neither": (0.1, None, 0.1, None),
    "never readable": (None, None, None, None),
}


def rows(side: int) -> list[dict[str, object]]:
    made = []
    for key, case in CASES.items():
        score, place = case[2 * side], case[2 * side + 1]
        at = {} if place is None else {"x": float(place[0]), "y": float(place[1])}
        made.append(row(key, score, bundle="aaaa" if side == 0 else "bbbb", uri=f"file:///x/{len(key)}", **at))
    return made


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    make_run(tmp_path / "a", [*rows(0), row("only in A", 0.9)], bundle="aaaa")
    make_run(tmp_path / "b", [row("B's own", 0.9), *rows(1)], bundle="bbbb", shard_images=7)
    return tmp_path / "a", tmp_path / "b"


def test_gained_lost_and_moved(runs: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    answer = cli("compare", *runs, "--csv", tmp_path / "changes.csv")
    assert answer.returncode == 0, answer.stderr
    with (tmp_path / "changes.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(one["change"], one["key"]) for one in found] == [
        ("gained", "gained more"),
        ("gained", "gained"),
        ("gained", "gained, unreadable before"),
        ("lost", "lost, unreadable now"),
        ("lost", "lost elsewhere"),
        ("lost", "lost"),
        ("moved", "moved farther"),
        ("moved", "moved far"),
    ]
    by_key = {one["key"]: one for one in found}
    assert [by_key["gained"][name] for name in ("score_a", "score_b", "x_a", "y_b")] == ["0.2", "0.7", "1", "2"]
    assert by_key["gained, unreadable before"]["score_a"] == ""
    assert float(by_key["moved farther"]["distance_px"]) == 500
    assert by_key["lost"]["uri"] == "file:///x/4"
    said = answer.stdout
    assert "13 images in both, 1 only in A, 1 only in B; 10 scored in both" in said
    assert "candidates: 8 in A, 8 in B" in said
    assert "3 gained, 3 lost, 2 moved by more than 46 px" in said
    assert "same verdict on 53.85% of the images" in said


def test_settings_decide_what_counts(runs: tuple[Path, Path], cli: Cli) -> None:
    strict = cli("compare", *runs, "--threshold", "0.9", "--distance", "50").stdout
    assert "1 gained, 6 lost, 0 moved by more than 50 px" in strict
    assert "3 moved by more than 40 px" in cli("compare", *runs, "--distance", "40").stdout
    out = cli("compare", *runs, "--csv", "-").stdout
    assert len(list(csv.DictReader(out.splitlines()))) == 8


def test_figures_of_agreement(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    first = rng.random(200).astype(np.float32)
    second = np.where(rng.random(200) < 0.5, first, rng.random(200)).astype(np.float32)
    a = make_run(tmp_path / "a", [row(f"{i:03d}", float(s)) for i, s in enumerate(first)], shard_images=60)
    b = make_run(tmp_path / "b", [row(f"{i:03d}", float(s)) for i, s in enumerate(second)], shard_images=90)
    f = compare(a, b).figures
    assert f.identical == int((first == second).sum())
    assert f.mean_difference == pytest.approx(np.abs(first - second).mean(), rel=1e-5)
    assert f.pearson == pytest.approx(np.corrcoef(first, second)[0, 1])
    both = ((first >= 0.5) & (second >= 0.5)).sum()
    neither = ((first < 0.5) & (second < 0.5)).sum()
    agree, p, q = (both + neither) / 200, (first >= 0.5).mean(), (second >= 0.5).mean()
    chance = p * q + (1 - p) * (1 - q)
    assert (f.same_verdict, f.kappa) == (pytest.approx(agree), pytest.approx((agree - chance) / (1 - chance)))
    assert f.spearman is not None and 0.2 < f.spearman < 0.9
    itself = compare(a, a).figures
    assert (itself.identical, itself.gained, itself.lost, itself.moved, itself.kappa) == (200, 0, 0, 0, 1.0)


def test_judged_images_say_which_run_does_better(runs: tuple[Path, Path], tmp_path: Path, cli: Cli) -> None:
    assert "judged:" not in cli("compare", *runs).stdout
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(
        "key,verdict\nkept,crater\nmoved a little,crater\nlost,crater\nlost elsewhere,not\nonly in A,crater\n"
        "moved far,not\nnever readable,not\n"
    )
    second.write_text("key,verdict\ngained,crater\nmoved farther,unsure\n")
    assert cli("review", runs[0], first, "--reviewer", "Ann").returncode == 0
    assert cli("review", runs[1], second, "--reviewer", "Ben").returncode == 0
    said = cli("compare", *runs).stdout
    assert "judged: 4 craters and 3 that are none" in said
    assert "A at 0.5: craters found 3, false alarms 2" in said
    assert "B at 0.5: craters found 3, false alarms 1" in said
    # Scores of the craters in B: 0.8, 0.8, 0.7, 0.49. From 0.7, "moved far" (0.8), "no place" (0.8), "gained more".
    assert "B at 0.7, where it finds as many as A: false alarms 1; candidates not judged for certain 2" in said


def test_scores_that_are_all_the_same_have_no_correlation(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a", [row("x", 0.1), row("y", 0.1)])
    figures = compare(a, a).figures
    assert (figures.pearson, figures.spearman, figures.kappa) == (None, None, None)


def test_runs_that_share_nothing_are_not_compared(tmp_path: Path, cli: Cli) -> None:
    a, b = make_run(tmp_path / "a", [row("x", 0.1)]), make_run(tmp_path / "b", [row("y", 0.1)])
    with pytest.raises(UsageError, match="no image in common"):
        compare(a, b)
    answer = cli("compare", tmp_path / "a", tmp_path / "b")
    assert (answer.returncode, "Traceback" in answer.stderr) == (2, False)


def test_the_drawing_is_sound_and_counts_every_image(runs: tuple[Path, Path]) -> None:
    from crater_ray.runs.run import open_existing

    with open_existing(runs[0]) as a, open_existing(runs[1]) as b:
        drawing = scatter(compare(a, b))
    root = ET.fromstring(drawing)
    counts = [int(title.text.split()[0]) for title in root.iter("title") if title.text]
    assert sum(counts) == 10
    circles = [circle.get("class") for circle in root.iter("circle")]
    assert (circles.count("dot gained"), circles.count("dot lost")) == (2, 2)


@pytest.mark.slow
def test_the_page_shows_what_changed(browser: Browser, tmp_path: Path, cli: Cli) -> None:
    Image.new("L", (120, 100), 90).save(tmp_path / "one.jpg")
    uri = (tmp_path / "one.jpg").as_uri()
    keys = [*ODD_KEYS, "same"]
    make_run(tmp_path / "<a>", [row(key, 0.2 if key != "same" else 0.9, uri=uri) for key in keys])
    make_run(tmp_path / "<b>", [row(key, 0.8, uri=uri, x=50.0, y=50.0) for key in keys])
    answer = cli("compare", tmp_path / "<a>", tmp_path / "<b>", "--page", tmp_path / "page")
    assert answer.returncode == 0, answer.stderr
    html = (tmp_path / "page/index.html").read_text()
    assert "<title>Compared: &lt;a&gt; (A) with &lt;b&gt; (B)</title>" in html
    assert not re.search(r"<[ab]>", html)
    page = new_page(browser)
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda problem: trouble.append(str(problem)))
    visit(page, tmp_path / "page")
    assert sorted(page.locator(".card .name").all_text_contents()) == sorted(ODD_KEYS)
    assert "gained · 0.2000 \u2192 0.8000" in (page.locator(".card .about").nth(1).text_content() or "")
    page.select_option("#group", label="gained")
    assert page.locator(".drawing circle").count() == len(ODD_KEYS)
    assert page.locator(".drawing svg").bounding_box() is not None
    page.close()
    assert trouble == []
