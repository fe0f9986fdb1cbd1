"""Gold standards in a gallery: as candidates in all that is seen, known when verdicts come back, never counted."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.results.review.gold import kept_gold
from crater_ray.runs.run import Run, open_existing
from crater_ray.storage.access import Access
from crater_ray.volunteers.mixed import gold_for_gallery
from tests.conftest import Cli
from tests.in_browser import new_page, turn, visit
from tests.volunteers.conftest import CANDIDATES

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHARE, GOLD = "0.34", 6


@pytest.fixture
def run(foil_run: Run, tmp_path: Path) -> Path:
    return shutil.copytree(foil_run.folder.uri, tmp_path / "run")


def content(path: Path) -> Any:
    """What a script of a gallery's folder holds."""
    text = path.read_text()
    return json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")


@pytest.mark.slow
def test_gold_standards_look_like_candidates(run: Path, tmp_path: Path, cli: Cli) -> None:
    answer = cli("gallery", run, "--out", tmp_path / "pages", "--mix", SHARE, "--pixel-size", "50")
    assert answer.returncode == 0, answer.stderr
    [summary] = content(tmp_path / "pages/summary.js")
    [_, details] = content(tmp_path / "pages/data/0000.js")
    assert len(summary["keys"]) == CANDIDATES + GOLD
    assert Counter(summary["gold"].values()) == {"crater": GOLD // 2, "not": GOLD // 2}
    with open_existing(run) as opened:
        shards = [opened.manifest.shard(shard) for shard in range(opened.manifest.shards)]
        manifest = {key for shard in shards for key in shard["key"].to_pylist()}
        known = kept_gold(opened)
    of_gold = [int(place) for place in summary["gold"]]
    others = [place for place in range(CANDIDATES + GOLD) if place not in of_gold]
    scores = np.array(summary["scores"])
    assert (np.diff(scores) <= 0).all()
    assert scores[others].min() <= scores[of_gold].min() <= scores[of_gold].max() <= scores[others].max()
    for place in of_gold:
        key, one = summary["keys"][place], details[place]
        assert key not in manifest
        assert re.fullmatch(r"foil[01]/k\d\d", key)
        assert known[key].truth == summary["gold"][str(place)]
        assert known[key].image in manifest
        assert known[key].image not in summary["keys"]
        assert known[key].image.rpartition("/")[2] not in one["uri"]
        assert set(one) <= set().union(*(details[other] for other in others))
        if "x" in one and known[key].x is not None:
            assert np.hypot(one["x"] - known[key].x, one["y"] - known[key].y) < 8
    assert sum("x" not in details[place] for place in of_gold) < GOLD
    planted = [place for place in of_gold if summary["gold"][str(place)] == "crater"]
    for place in planted:  # both pictures show the planted crater, as files that name nothing
        one, key = details[place], summary["keys"][place]
        whole = np.asarray(Image.open(tmp_path / f"pages/images/0000/{place:02d}.jpg"), float)
        number = int(known[key].image.rpartition("k")[2])
        before = np.asarray(Image.open(_archive(run) / f"{number}.jpg"), float)
        changed = np.abs(whole - before)
        row, column = np.unravel_index(np.argmax(changed), changed.shape)
        assert np.hypot(column - known[key].x, row - known[key].y) < 3 * known[key].diameter
        assert not (tmp_path / f"pages/images/0000/{place:02d}.jpg").read_bytes().count(b"crater")
    assert cli("verify", run).returncode == 0


def _archive(run: Path) -> Path:
    with open_existing(run) as opened:
        [uri] = opened.manifest.shard(0)["uri"].to_pylist()[1:2]
    return Path(uri.removeprefix("file://")).parent


@pytest.mark.slow
def test_verdicts_on_them_come_back_marked_and_never_count(
    browser: Browser, run: Path, tmp_path: Path, cli: Cli
) -> None:
    """Everything is called a crater, by keyboard, in a gallery in which a third is gold."""
    assert cli("gallery", run, "--out", tmp_path / "pages", "--mix", SHARE).returncode == 0
    page = new_page(browser, accept_downloads=True)
    visit(page, tmp_path / "pages")
    assert "gold" not in (page.text_content("body") or "")
    page.locator(".card").first.focus()
    for _ in range(CANDIDATES + GOLD):
        page.keyboard.press("c")
    assert page.text_content("#save") == f"Save verdicts ({CANDIDATES + GOLD})"
    page.fill("#reviewer", "Ann")
    with page.expect_download() as waiting:
        page.click("#save")
    waiting.value.save_as(tmp_path / "ann.json")
    for order in ("least certain first", "most unlike first"):
        turn(page, lambda order=order: page.select_option("#sort", label=order))
        assert page.locator(".card").count() == CANDIDATES + GOLD
    page.close()
    saved = json.loads((tmp_path / "ann.json").read_text())["verdicts"]
    assert Counter(one.get("gold") for one in saved) == {None: CANDIDATES, "crater": GOLD // 2, "not": GOLD // 2}
    answer = cli("review", run, tmp_path / "ann.json", "--export", tmp_path / "train.csv")
    assert answer.returncode == 0, answer.stderr
    assert f"{CANDIDATES} images judged: {CANDIDATES} crater, 0 not, 0 unsure" in answer.stdout
    assert f"Ann on gold standards: finds {GOLD // 2} of {GOLD // 2} craters" in answer.stdout
    assert f"rejects 0 of {GOLD // 2} blanks" in answer.stdout
    with (tmp_path / "train.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == CANDIDATES
    # A gallery made anew, with other gold standards, saves the earlier verdicts unmarked: the run knows them.
    for one in saved:
        one.pop("gold", None)
    (tmp_path / "plain.json").write_text(
        json.dumps(json.loads((tmp_path / "ann.json").read_text()) | {"verdicts": saved})
    )
    assert f"{CANDIDATES} verdicts" in cli("review", run, tmp_path / "plain.json").stdout


def test_shares_that_cannot_be(run: Path) -> None:
    with open_existing(run) as opened:
        for share in (0.0, 0.51, -1.0):
            with pytest.raises(UsageError, match="--mix must be a share"):
                gold_for_gallery(opened, share, Access())
        with pytest.raises(UsageError, match="no candidates"):
            gold_for_gallery(opened, 0.1, Access(), threshold=1.0)
        same = [gold_for_gallery(opened, 0.34, Access(), seed=seed).to_pylist() for seed in (1, 1, 2)]
        assert same[0] == same[1] != same[2]
