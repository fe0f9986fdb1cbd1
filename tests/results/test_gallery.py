"""The gallery, opened from disk in a real headless Chromium without a network."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from crater_ray.results.gallery.pages import CHUNK
from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.results.image_table import read_image_table
from crater_ray.results.review.verdicts import import_file, read_verdicts
from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access
from tests.in_browser import keys_shown, new_page, turn, visit
from tests.made_runs import ODD_KEYS, make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

COUNT = 80
SPOT = (150, 40)
"""x and y of the bright spot in every image of 160x120."""


def key_of(number: int) -> str:
    return ODD_KEYS[number] if number < len(ODD_KEYS) else f"key{number:03d}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with 80 candidates, of falling score, and its gallery; the last image is gone."""
    folder = tmp_path_factory.mktemp("gallery")
    rng = np.random.default_rng(1)
    rows = []
    (folder / "archive").mkdir()
    for number in range(COUNT):
        pixels = rng.integers(60, 70, (120, 160), dtype=np.uint8)
        pixels[SPOT[1] - 2 : SPOT[1] + 3, SPOT[0] - 2 : SPOT[0] + 3] = 120
        path = folder / "archive" / f"{number}.{'png' if number % 2 else 'jpg'}"
        Image.fromarray(pixels).save(path, quality=95)
        place = {} if number == 2 else {"x": float(SPOT[0]), "y": float(SPOT[1])}
        size = {"height": 120, "width": 160, "uri": path.as_uri()}
        rows.append(row(key_of(number), 0.99 - number / 100, **size, **place))
    path.unlink()
    rows += [row(f"below{number}", 0.05) for number in range(20)] + [row("bad", None)]
    run = make_run(folder / "run", rows, threshold=0.2, shard_images=25)
    foils = [
        f"key{number:03d},real I100{number % 3}N {number} 2 0,{60 * (number == 9)},V<{number}>" for number in range(80)
    ]
    (folder / "images.csv").write_text("key,file_comment,bad_focus,VMcode\n" + "\n".join(foils) + "\n")
    table = read_image_table(folder / "images.csv")
    write_gallery(run, folder / "pages", Access(), image_table=table, pixel_nm=50.0)
    return folder / "run", folder / "pages"


@pytest.fixture
def page(browser: Browser, made: tuple[Path, Path]) -> Iterator[Page]:
    """The gallery's page, in a profile of its own; fails if anything is asked for beyond its folder, or complains."""
    opened = new_page(browser, accept_downloads=True, viewport={"width": 1300, "height": 900})
    trouble: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda problem: trouble.append(str(problem)))
    opened.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda request: asked.append(request.url))
    visit(opened, made[1])
    yield opened
    opened.close()
    inside = made[1].as_uri() + "/"
    assert [url for url in asked if not url.startswith((inside, "blob:"))] == []
    assert trouble == []


@pytest.mark.slow
def test_the_first_page(page: Page) -> None:
    assert keys_shown(page) == [key_of(number) for number in range(CHUNK)]
    assert page.text_content("#where") == "1\u201336 of 80"
    assert page.text_content(".card .score") == "0.9900"
    assert "80 images to review (79.2% of the run)" in (page.text_content("#to-review") or "")
    assert page.eval_on_selector_all("#statuses td", "all => all.map(one => one.textContent)") == [
        "ok", "100", "unreadable", "1"
    ]  # fmt: skip
    assert "80 images score 0.2 or more" in (page.get_attribute("#histogram svg", "aria-label") or "")
    assert all(page.eval_on_selector_all(".crop", "all => all.map(one => one.getAttribute('aria-label').length > 8)"))


@pytest.mark.slow
def test_names_are_text_and_nothing_else(page: Page, made: tuple[Path, Path]) -> None:
    for number, key in enumerate(ODD_KEYS):
        card = page.locator(f'.card[data-index="{number}"]')
        assert card.locator(".name").text_content() == key
        card.locator(".crop").click()
        page.wait_for_selector("#zoom[open]")
        assert page.text_content("#zoom-name") == key
        page.keyboard.press("Escape")
    assert page.locator("img[src=x]").count() == 0
    names = [path.relative_to(made[1]).as_posix() for path in made[1].rglob("*") if path.is_file()]
    own = re.compile(r"[a-z]+\.(js|css|html)|data/\d{4}\.js|sprites/\d{4}\.jpg|images/\d{4}/\d{2}\.jpg")
    assert [name for name in names if not own.fullmatch(name)] == []
    assert max((made[1] / name).stat().st_size for name in names) < 5_000_000


def spot_and_ring(page: Page, holder: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the bright spot is on the screen, once the picture is there, and where the ring's centre is."""
    ring = page.locator(f"{holder} .ring").bounding_box()
    assert ring is not None
    area = page.locator(holder).bounding_box()
    assert area is not None
    page.locator("#marks").evaluate("box => { box.checked = false; box.dispatchEvent(new Event('change')); }")
    plain = "all => all.forEach(one => { one.style.filter = ''; one.hidden = one.classList.contains('scale'); })"
    page.locator(".pixels, .scale, #whole").evaluate_all(plain)
    while True:
        shot = np.asarray(Image.open(io.BytesIO(page.locator(holder).screenshot())).convert("L"), float)
        shot[:6], shot[-6:], shot[:, :6], shot[:, -6:] = 0, 0, 0, 0  # the page shows at the round corners
        if shot.max() - np.median(shot) > 30:
            break
    bright = shot > (shot.max() + np.median(shot)) / 2
    rows, columns = np.nonzero(bright)
    spot = (area["x"] + columns.mean() + 0.5, area["y"] + rows.mean() + 0.5)
    return spot, (ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)


def test_the_mark_is_where_the_evidence_is(page: Page) -> None:
    spot, ring = spot_and_ring(page, '.card[data-index="0"] .crop')
    assert ring == pytest.approx(spot, abs=2)


@pytest.mark.slow
def test_the_mark_in_the_whole_image(page: Page) -> None:
    page.keyboard.press("ArrowRight")
    page.locator('.card[data-index="1"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#zoom[open]")
    page.wait_for_function("document.getElementById('whole').naturalWidth === 160")
    scale = float((page.text_content("#zoom-level") or "").rstrip("\u00d7"))
    bar = page.locator("#zoom-scale").bounding_box()
    assert bar is not None
    nm = {"1 µm": 1000, "2 µm": 2000, "500 nm": 500}[page.text_content("#zoom-scale") or ""]
    assert bar["width"] == pytest.approx(nm / 50 * scale, rel=0.05)
    spot, ring = spot_and_ring(page, "#stage")
    assert ring == pytest.approx(spot, abs=4)
    for _ in range(3):
        page.keyboard.press("+")
    assert float((page.text_content("#zoom-level") or "").rstrip("\u00d7")) > scale
    page.keyboard.press("Escape")
    page.wait_for_function("!document.getElementById('zoom').open && document.activeElement.dataset.index === '1'")


def test_an_image_without_place_is_shown_whole(page: Page) -> None:
    card = page.locator('.card[data-index="2"]')
    assert card.locator(".ring").count() == 0
    assert "no place" in (card.text_content() or "")


@pytest.mark.slow
def test_a_missing_image_says_so(page: Page) -> None:
    turn(page, lambda: page.fill("#search", "key079"))
    assert "No picture: the file is not there" in (page.locator(".card").text_content() or "")


def test_pages_and_filters(page: Page) -> None:
    turn(page, lambda: page.keyboard.press("]"))
    assert keys_shown(page) == [key_of(number) for number in range(CHUNK, 2 * CHUNK)]
    turn(page, lambda: page.click("#next"))
    assert (len(keys_shown(page)), page.is_disabled("#next")) == (COUNT - 2 * CHUNK, True)
    turn(page, lambda: page.select_option("#foil", label="I1001N"))
    wanted = [key_of(number) for number in range(len(ODD_KEYS), COUNT) if number % 3 == 1]
    assert keys_shown(page) == wanted
    assert "I1001N 10 · V<10>" in (page.locator(".card .about").nth(1).text_content() or "")
    turn(page, lambda: page.fill("#search", "KEY07"))
    assert keys_shown(page) == ["key070", "key073", "key076", "key079"]
    turn(page, lambda: page.fill("#search", "nobody"))
    assert "No candidate" in (page.text_content("#cards") or "")


@pytest.mark.slow
def test_the_slider_says_what_there_is_to_review(page: Page) -> None:
    value = page.evaluate("craterRay.data().distribution.thresholds.indexOf(0.5)")
    move = (
        "(box, to) => { box.value = to; for (const name of ['input', 'change']) box.dispatchEvent(new Event(name)); }"
    )
    turn(page, lambda: page.locator("#threshold").evaluate(move, value))
    assert "50 images to review (49.5% of the run)" in (page.text_content("#to-review") or "")
    assert page.text_content("#where") == "1\u201336 of 50"
    counted = "Expected: 50 (37\u201366) blanks (all that nobody marked as a crater), craters not known"
    assert page.text_content("#expected") == counted
    turn(page, lambda: page.select_option("#foil", label="I1001N"))
    assert "Expected on I1001N: 14 (7.7\u201323) blanks" in (page.text_content("#expected") or "")
    turn(page, lambda: page.select_option("#foil", ""))
    turn(page, lambda: page.locator("#threshold").evaluate(move, 0))
    assert "100 images to review" in (page.text_content("#to-review") or "")
    assert "pictures are here from 0.2 on" in (page.text_content("#to-review") or "")


@pytest.mark.slow
def test_verdicts_by_keyboard_come_back_through_review(page: Page, made: tuple[Path, Path], tmp_path: Path) -> None:
    run = open_existing(shutil.copytree(made[0], tmp_path / "run"))
    for _ in range(60):  # by keyboard alone: on to the first card
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "card":
            break
    for key in "cnu1c":
        page.keyboard.press(key)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Backspace")
    expected = {key_of(0): "crater", key_of(1): "not", key_of(2): "unsure", key_of(3): "crater"}
    assert page.text_content("#save") == "Save verdicts (4)"
    page.keyboard.press("Enter")
    page.wait_for_selector("#zoom[open]")
    page.keyboard.press("ArrowDown")  # on to the next one, enlarged
    named = "name => document.getElementById('zoom-name').textContent === name"
    page.wait_for_function(named, arg=key_of(5))
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    expected[key_of(5)] = "not"
    visit(page, made[1])  # they outlive the page
    assert page.get_attribute('.card[data-index="1"]', "data-verdict") == "not"
    turn(page, lambda: page.select_option("#verdict", "none"))
    assert keys_shown(page)[:2] == [key_of(4), key_of(6)]
    page.click("#save")
    assert "Who reviews" in (page.text_content("#notice") or "")
    page.keyboard.type("Zoë / <i>")
    with page.expect_download() as waiting:
        page.click("#save")
    assert re.fullmatch(r"verdicts-Zoë-i-\d{4}-\d\d-\d\d\.json", waiting.value.suggested_filename)
    waiting.value.save_as(tmp_path / "verdicts.json")
    assert import_file(run, tmp_path / "verdicts.json") == 6
    kept = read_verdicts(run)
    assert {one.key: one.verdict for one in kept} == expected
    assert {one.reviewer for one in kept} == {"Zoë / <i>"}


def test_a_page_is_turned_when_its_last_candidate_is_judged(page: Page) -> None:
    page.locator(f'.card[data-index="{CHUNK - 1}"]').focus()
    turn(page, lambda: page.keyboard.press("n"))
    assert page.evaluate("document.activeElement.dataset.index") == str(CHUNK)
    assert page.evaluate("document.activeElement.className") == "card"


def test_saved_verdicts_can_be_loaded_elsewhere(page: Page, made: tuple[Path, Path], tmp_path: Path) -> None:
    with open_existing(made[0]) as run:
        said = [{"key": key_of(3), "verdict": "crater", "when": "2026"}, {"key": "a", "verdict": "odd", "when": "2026"}]
        content = {"kind": "crater-ray verdicts", "format": 1, "run_id": run.id, "reviewer": "A", "verdicts": said}
    (tmp_path / "v.json").write_text(json.dumps(content))
    turn(page, lambda: page.set_input_files("#file", tmp_path / "v.json"))
    assert page.get_attribute('.card[data-index="3"]', "data-verdict") == "crater"
    assert page.text_content("#save") == "Save verdicts (1)"
    (tmp_path / "v.json").write_text(json.dumps(content | {"run_id": "other"}))
    turn(page, lambda: page.set_input_files("#file", tmp_path / "v.json"))
    assert "belong to another run" in (page.text_content("#notice") or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(browser: Browser, made: tuple[Path, Path], scheme: Any) -> None:
    page = new_page(browser, color_scheme=scheme)
    visit(page, made[1])
    style = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    colour = {
        name: page.evaluate(style, f"--{name}") for name in ("ground", "panel", "ink", "soft", "accent", "unsure")
    }
    page.close()

    def luminance(value: str) -> float:
        parts = [int(value[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (luminance(colour["ground"]) < 0.1) == (scheme == "dark")
    for text in ("ink", "soft", "accent", "unsure"):  # WCAG 2 AA
        for ground in ("ground", "panel"):
            high, low = sorted((luminance(colour[text]), luminance(colour[ground])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


@pytest.mark.slow
def test_without_whole_images_the_crop_is_enlarged(browser: Browser, made: tuple[Path, Path], tmp_path: Path) -> None:
    with open_existing(made[0]) as run:
        write_gallery(run, tmp_path / "pages", Access(), whole=False)
    assert not (tmp_path / "pages/images").exists()
    page = new_page(browser)
    visit(page, tmp_path / "pages")
    assert not page.is_visible("#foil")
    page.locator('.card[data-index="7"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('whole').naturalWidth > 0")
    spot, ring = spot_and_ring(page, "#stage")
    assert ring == pytest.approx(spot, abs=6)
    page.close()


def test_an_empty_gallery_opens(browser: Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [row("k", 0.1), row("bad", None)])
    assert write_gallery(run, tmp_path / "pages", Access()).candidates == 0
    page = new_page(browser)
    visit(page, tmp_path / "pages")
    assert "No candidate" in (page.text_content("#cards") or "")
    page.close()
