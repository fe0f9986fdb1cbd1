"""The gallery, opened from disk in a real headless Chromium without a network."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.results.gallery.distribution import distribution, from_axis, to_axis
from crater_ray.results.gallery.pages import CHUNK
from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.results.image_table import read_image_table
from crater_ray.results.review.verdicts import import_file, read_verdicts
from crater_ray.runs.run import Run, open_existing
from crater_ray.storage.access import Access
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import PATIENCE, Cli
from tests.made_runs import ODD_KEYS, make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
COUNT = 80
SPOT = (150, 40)
"""x and y of the bright spot in every image of 160x120."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet, timeout=1000 * PATIENCE)
        yield opened
        opened.close()


def new_page(browser: Browser, **options: Any) -> Page:
    """A page in a profile of its own, on which is waited for as long as it takes."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * PATIENCE)
    return page


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


def visit(page: Page, folder: Path) -> None:
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("body[data-ready]")


def keys_shown(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".card .name", "all => all.map(one => one.textContent)")
    return found


def turn(page: Page, act: Callable[[], Any]) -> None:
    """Do something that shows other cards, and wait until they are there."""
    before = page.get_attribute("body", "data-ready")
    act()
    page.wait_for_function("before => document.body.dataset.ready !== before", arg=before)


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


def test_the_slider_says_what_there_is_to_review(page: Page) -> None:
    value = page.evaluate("craterRay.data().distribution.thresholds.indexOf(0.5)")
    move = (
        "(box, to) => { box.value = to; for (const name of ['input', 'change']) box.dispatchEvent(new Event(name)); }"
    )
    turn(page, lambda: page.locator("#threshold").evaluate(move, value))
    assert "50 images to review (49.5% of the run)" in (page.text_content("#to-review") or "")
    assert page.text_content("#where") == "1\u201336 of 50"
    counted = "Expected: 50 (37\u201366) blanks if nothing unconfirmed is a crater, craters not known"
    assert page.text_content("#expected") == counted
    turn(page, lambda: page.select_option("#foil", label="I1001N"))
    assert "Expected on I1001N: 14 (7.7\u201323) blanks" in (page.text_content("#expected") or "")
    turn(page, lambda: page.select_option("#foil", ""))
    turn(page, lambda: page.locator("#threshold").evaluate(move, 0))
    assert "100 images to review" in (page.text_content("#to-review") or "")
    assert "pictures are here from 0.2 on" in (page.text_content("#to-review") or "")


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


def small_run(folder: Path) -> Run:
    Image.new("L", (120, 100), 80).save(folder / "one.jpg")
    return make_run(folder / "run", [row("k", 0.9, uri=(folder / "one.jpg").as_uri()), row("gone", 0.8)])


def test_a_gallery_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    written = write_gallery(run, tmp_path / "pages", Access())
    assert list(written.problems.values()) == [1]
    (tmp_path / "pages/images/0000/77.jpg").write_bytes(b"old")
    write_gallery(run, tmp_path / "pages", Access())
    assert not (tmp_path / "pages/images/0000/77.jpg").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("dear")
    with pytest.raises(UsageError, match="something else"):
        write_gallery(run, tmp_path / "mine", Access())
    with pytest.raises(UsageError, match="something else"):
        write_gallery(run, tmp_path / "one.jpg", Access())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "one.jpg", "pages", "run"]


def test_no_picture_at_all_is_a_failure_that_leaves_nothing(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    (tmp_path / "one.jpg").unlink()
    with pytest.raises(CraterRayError, match="Not one of the 2 images"):
        write_gallery(run, tmp_path / "pages", Access())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_scores_are_counted_as_the_run_counts_them(tmp_path: Path) -> None:
    # 0.01 is not a float32: a cut at the float64 would lose the image that has just this score.
    run = make_run(tmp_path / "run", [row("a", 0.01), row("b", 0.0), row("c", 1.0), row("d", 0.5), row("e", None)])
    found = distribution(run.parts(), [0.0123])
    reached = dict(zip(found.thresholds.tolist(), found.reached.tolist(), strict=True))
    assert [reached[cut] for cut in (0.0, 0.01, 0.0123, 0.5, 1.0)] == [4, 3, 2, 2, 1]
    assert (int(found.bins.sum()), found.statuses["ok"]) == (4, 4)
    places = to_axis(np.array([1e-4, 0.3, 0.5, 0.9999]))
    assert from_axis(places) == pytest.approx([1e-4, 0.3, 0.5, 0.9999])
    assert places[2] == 0.5


def test_a_run_and_its_images_on_s3(s3: LocalS3, tmp_path: Path, cli: Cli) -> None:
    buffer = io.BytesIO()
    Image.new("L", (120, 100), 80).save(buffer, "JPEG")
    odd = ["plain", "a'b\"c <i>", "line\nbreak", "ähnlich 火口"]
    for key in odd:
        s3.client.put_object(Bucket=PUBLIC, Key=f"gallery/{key}.jpg", Body=buffer.getvalue())
    rows = [row(key, 0.9, uri=f"s3://{PUBLIC}/gallery/{key}.jpg", x=50.0, y=50.0) for key in odd]
    make_run(f"s3://{PUBLIC}/gallery/run", rows, access=Access(s3.endpoint_url))
    answer = cli(
        "gallery", f"s3://{PUBLIC}/gallery/run", "--out", tmp_path / "pages", "--endpoint-url", s3.endpoint_url
    )
    assert answer.returncode == 0, answer.stderr
    assert "4 candidates" in answer.stdout and "without a picture" not in answer.stdout
    assert len(list((tmp_path / "pages/images/0000").iterdir())) == 4


def test_pictures_in_order_of_quality_with_flags_and_their_own_pixels(browser: Browser, tmp_path: Path) -> None:
    rows = []
    for number, (focus, nm) in enumerate([(1.5, 50.0), (1.0, None), (3.0, 20.0), (None, None)]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(60, 70, (120, 160), np.uint8)).save(path)
        known = {"focus": focus, "noise": 2.0, "pixel_nm": nm, "x": 60.0, "y": 60.0, "diameter": 10.0}
        size = {"height": 120, "width": 160, "uri": path.as_uri()}
        rows.append(row(f"k{number}", 0.9 - number / 100, **size, **known, instrument="Helios G4 UX"))
    run = make_run(tmp_path / "run", rows, threshold=0.2)
    write_gallery(run, tmp_path / "pages", Access(), flags=["focus < 1.2"])
    opened = new_page(browser)
    visit(opened, tmp_path / "pages")
    assert keys_shown(opened) == ["k0", "k1", "k2", "k3"]
    turn(opened, lambda: opened.select_option("#sort", label="focus, worst first"))
    assert keys_shown(opened) == ["k1", "k0", "k2", "k3"]
    turn(opened, lambda: opened.select_option("#sort", label="focus, best first"))
    assert keys_shown(opened) == ["k2", "k0", "k1", "k3"]
    turn(opened, lambda: opened.select_option("#flag", label="not flagged"))
    assert keys_shown(opened) == ["k2", "k0", "k3"]
    turn(opened, lambda: opened.select_option("#flag", label="focus < 1.2"))
    assert keys_shown(opened) == ["k1"]
    assert opened.text_content(".card .flag") == "focus < 1.2"
    turn(opened, lambda: opened.select_option("#flag", label="any"))
    about = opened.eval_on_selector_all(".card .about", "all => all.map(one => one.textContent)")
    assert [text for text in about if "nm" in text] == ["\u2300 10 px (200 nm)", "\u2300 10 px (500 nm)"]
    opened.click(".card .crop")
    details = opened.text_content("#zoom-details") or ""
    assert "Helios G4 UX" in details and "2 gray levels" in details and "20 nm" in details
    opened.close()
    write_gallery(run, tmp_path / "sorted", Access(), sort="-focus", pixel_nm=40.0)
    opened = new_page(browser)
    visit(opened, tmp_path / "sorted")
    assert keys_shown(opened) == ["k2", "k0", "k1", "k3"]
    assert opened.text_content("#sort option") == "as made: -focus"
    assert "(400 nm)" in (opened.text_content(".card") or "")
    opened.close()
