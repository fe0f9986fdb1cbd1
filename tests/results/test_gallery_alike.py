"""The gallery's page shows what looks alike, and takes a verdict for several candidates at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.results.similar.describe import describe, network_of
from crater_ray.results.similar.search import similar
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from tests.in_browser import keys_shown, new_page, turn, visit
from tests.made_runs import make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COUNT = 42


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run of rings and of bars, and its gallery; one candidate has no place."""
    folder = tmp_path_factory.mktemp("alike")
    rows = []
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        pixels = rng.normal(90, 3, (120, 140))
        x, y = rng.uniform(40, 80, 2)
        far = np.hypot(np.arange(140)[None, :] - x, np.arange(120)[:, None] - y)
        pixels[(abs(far - 9) < 2) if number % 2 else (abs(np.arange(140) - x) < 3)[None, :] & (far < 99)] += 90
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        place = {} if number == 5 else {"x": float(x), "y": float(y)}
        rows.append(row(f"k{number:02d}", 0.99 - number / 100, uri=(folder / f"{number}.png").as_uri(), **place))
    run = make_run(folder / "run", rows, threshold=0.2)
    write_gallery(run, folder / "pages", Access(), similar=True)
    return run, folder / "pages"


@pytest.fixture
def page(browser: Browser, made: tuple[Run, Path]) -> Iterator[Page]:
    opened = new_page(browser, viewport={"width": 1300, "height": 900})
    trouble: list[str] = []
    opened.on("pageerror", lambda problem: trouble.append(str(problem)))
    opened.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    visit(opened, made[1])
    yield opened
    opened.close()
    assert trouble == []


def focus(page: Page, index: int) -> None:
    page.locator(f'.card[data-index="{index}"]').focus()


@pytest.mark.slow
def test_what_looks_alike_is_shown_and_left_again(page: Page, made: tuple[Run, Path]) -> None:
    run = made[0]
    focus(page, 7)
    turn(page, lambda: page.keyboard.press("l"))
    shown = keys_shown(page)
    assert shown[0] == "k07"
    assert np.mean([int(key[1:]) % 2 for key in shown[1:16]]) > 0.9  # rings
    described = describe(run, Access(), network_of(run))
    exact = similar(described, "k07", 5)["key"].to_pylist()
    assert len(set(exact) & set(shown[1:9])) >= 4  # by 8-bit numbers nearly as by the features themselves
    assert "k07" in (page.text_content("#like-text") or "")
    assert "alike 0." in (page.locator(".card").nth(1).text_content() or "")
    assert page.text_content("#where") == f"1\u201336 of {COUNT - 1}"
    turn(page, lambda: page.keyboard.press("Escape"))
    assert keys_shown(page)[:2] == ["k00", "k01"] and not page.is_visible("#like")
    assert page.evaluate("document.activeElement.dataset.index") == "7"
    focus(page, 5)
    page.keyboard.press("l")
    page.wait_for_selector("#notice:not([hidden])")
    assert "no place" in (page.text_content("#notice") or "")


def verdicts(page: Page) -> dict[str, str]:
    said = page.evaluate("craterRay.toFile().verdicts")
    return {one["key"]: one["verdict"] for one in said if one["verdict"]}


def test_several_are_judged_together_and_it_can_be_undone(page: Page) -> None:
    focus(page, 3)
    page.keyboard.press("c")  # judged before, by itself
    for index in (3, 8):
        focus(page, index)
        page.keyboard.press("x")
    page.locator('.card[data-index="9"] .crop').click(modifiers=["Shift"])
    assert page.text_content("#selection-count") == "3 selected"
    assert page.locator(".card.selected").count() == 3
    page.keyboard.press("n")
    assert verdicts(page) == {"k03": "not", "k08": "not", "k09": "not"}
    assert page.get_attribute('.card[data-index="9"]', "data-verdict") == "not"
    assert "3 candidates judged together: not a crater" in (page.text_content("#undo-text") or "")
    assert page.text_content("#save") == "Save verdicts (3)" and not page.is_visible("#selection")
    page.click("#undo")
    assert verdicts(page) == {"k03": "crater"} and not page.is_visible("#undo-bar")
    focus(page, 0)
    page.keyboard.press("a")
    assert page.text_content("#selection-count") == "36 selected"
    page.keyboard.press("Escape")
    assert not page.is_visible("#selection")
    page.keyboard.press("a")
    page.locator('#selection-verdicts [data-v="unsure"]').click()
    assert set(verdicts(page).values()) == {"unsure"} and len(verdicts(page)) == 36


@pytest.mark.slow
def test_a_gallery_without_look_alikes_says_so(browser: Browser, made: tuple[Run, Path], tmp_path: Path) -> None:
    write_gallery(made[0], tmp_path / "pages", Access())
    assert not (tmp_path / "pages/vectors.js").exists()
    assert '"similar":null' in (tmp_path / "pages/summary.js").read_text()
    opened = new_page(browser)
    visit(opened, tmp_path / "pages")
    focus(opened, 1)
    opened.keyboard.press("l")
    assert "without look-alikes" in (opened.text_content("#notice") or "")
    assert not opened.is_visible("#fold-label")
    opened.close()


def test_directions_are_small(made: tuple[Run, Path]) -> None:
    text = (made[1] / "vectors.js").read_text()
    assert text.startswith('craterRay.vectors("') and len(text) < 70 * COUNT
    summary = (made[1] / "summary.js").read_text()
    wide = json.loads(summary[summary.index("(") + 1 : summary.rindex(")")])["similar"]["wide"]
    assert 0 < wide <= 48
