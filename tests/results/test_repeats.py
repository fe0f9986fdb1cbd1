"""What repeats among candidates: at the same pixel of many images, at the same spot of the foil."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.results.image_table import read_image_table
from crater_ray.results.repeats.find import PIXEL, SPOT, find_repeats
from crater_ray.results.repeats.same_pixel import same_pixel
from crater_ray.results.repeats.same_spot import Frames, same_spot
from crater_ray.storage.access import Access
from tests.conftest import Cli
from tests.in_browser import keys_shown, new_page, turn, visit
from tests.made_runs import make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HEIGHT, WIDTH = 384, 512


def test_a_speck_on_the_detector_is_found_among_others() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, WIDTH, 3000), rng.uniform(0, HEIGHT, 3000)
    specks = {(100.0, 200.0): range(10, 130, 10), (400.5, 33.0): range(5, 2900, 400)}
    for (at_x, at_y), members in specks.items():
        x[list(members)] = at_x + rng.normal(0, 0.7, len(members))
        y[list(members)] = at_y + rng.normal(0, 0.7, len(members))
    groups = same_pixel(x, y, HEIGHT, WIDTH)
    assert len(groups) == 2
    for group, members in zip(groups, specks.values(), strict=True):
        assert set(members) <= set(group.tolist()) and len(group) <= len(members) + 1


def test_chance_makes_no_groups() -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng([2, seed])
        n = int(rng.integers(50, 5000))
        crowd = rng.random(n) < 0.3  # in a part of the images
        x = np.where(crowd, rng.normal(250, 25, n), rng.uniform(0, WIDTH, n))
        found += len(same_pixel(x, rng.uniform(0, HEIGHT, n), HEIGHT, WIDTH))
    assert found <= 4
    assert same_pixel(np.zeros(2), np.zeros(2), HEIGHT, WIDTH) == []


def overlapping(way: tuple[int, int], seed: int = 0, nm: float = 50.0) -> tuple[list[dict[str, Any]], list[set[int]]]:
    """Candidates of frames that overlap by a fifth, on a stage whose axes run this way; and which are one thing."""
    rng = np.random.default_rng([3, seed])
    um = nm / 1000
    step = (0.8 * WIDTH * um, 0.8 * HEIGHT * um)
    things = np.stack([rng.uniform(0, 10 * step[0], 120), rng.uniform(0, 10 * step[1], 120)], axis=1)
    rows: list[dict[str, Any]] = []
    seen: dict[int, set[int]] = {}
    for across in range(10):
        for down in range(10):
            middle = np.array([(across + 0.5) * step[0], (down + 0.5) * step[1]])
            for number, thing in enumerate(things):
                x, y = (thing - middle) / um + ((WIDTH - 1) / 2, (HEIGHT - 1) / 2) + rng.normal(0, 3, 2)
                if 5 < x < WIDTH - 5 and 5 < y < HEIGHT - 5:
                    seen.setdefault(number, set()).add(len(rows))
                    stage = middle * way + rng.normal(0, 0.1, 2)
                    rows.append({"x": x, "y": y, "x_coord": stage[0], "y_coord": stage[1], "frame": (across, down)})
    return rows, [members for members in seen.values() if len(members) > 1]


@pytest.mark.parametrize("way", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_one_thing_in_frames_that_overlap_is_found_whichever_way_the_stage_runs(way: tuple[int, int]) -> None:
    rows, truth = overlapping(way)
    value = {name: np.array([one[name] for one in rows], float) for name in ("x", "y", "x_coord", "y_coord")}
    n = len(rows)
    size = (np.full(n, float(HEIGHT)), np.full(n, float(WIDTH)))
    frames = Frames(value["x"], value["y"], *size, value["x_coord"], value["y_coord"], np.full(n, 0.05), np.zeros(n))
    groups, found = same_spot(frames, 1.0)
    assert found == way
    assert len(truth) > 30
    right = sum(set(group.tolist()) in truth for group in groups)
    assert right >= 0.9 * len(truth) and right >= 0.9 * len(groups)
    alone = Frames(*(getattr(frames, name) for name in list(vars(frames))[:-1]), np.arange(n, dtype=float))
    assert same_spot(alone, 1.0) == ([], None)  # each on a foil of its own


def test_frames_that_do_not_overlap_have_nothing_in_common() -> None:
    rng = np.random.default_rng(5)
    n = 2000
    stage = np.stack([rng.integers(0, 100, n) * 30.0, rng.integers(0, 100, n) * 25.0])
    size = (np.full(n, float(HEIGHT)), np.full(n, float(WIDTH)))
    frames = Frames(rng.uniform(0, WIDTH, n), rng.uniform(0, HEIGHT, n), *size, *stage, np.full(n, 0.05), np.zeros(n))
    assert same_spot(frames, 1.0) == ([], None)


def test_candidates_without_a_place_or_a_table_are_passed_over() -> None:
    known = {"height": 100, "width": 120, "pixel_nm": None, "foil": None}
    rows = [known | {"x": 50.0, "y": 50.0} for _ in range(5)] + [known | {"x": None, "y": None}]
    found = find_repeats(pa.Table.from_pylist(rows))
    assert [(one.kind, one.members) for one in found.found] == [(PIXEL, (0, 1, 2, 3, 4))]
    assert found.of() == [0, 0, 0, 0, 0, -1] and found.names()[5] is None
    assert "x_coord" in found.note
    rows = [one | {"x_coord": "1", "y_coord": "no"} for one in rows]
    assert "--pixel-size" in find_repeats(pa.Table.from_pylist(rows)).note
    assert find_repeats(pa.Table.from_pylist(rows).slice(0, 0)).found == ()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run with a speck in ten images, one thing in two frames that overlap, and others; and its image table."""
    things, truth = overlapping((1, -1), seed=4)
    pair = sorted(truth[0])[:2]
    rows, table = [], []
    Image.fromarray(np.random.default_rng(1).integers(60, 90, (HEIGHT, WIDTH), np.uint8)).save(tmp_path / "one.png")
    for number, thing in enumerate(things):
        speck = 20 <= number < 30 and number not in pair
        x, y = (77.0, 55.0 + number % 3) if speck else (thing["x"], thing["y"])
        size = {"height": HEIGHT, "width": WIDTH, "uri": (tmp_path / "one.png").as_uri()}
        rows.append(row(f"k{number:03d}", 0.99 - number / 1000, x=float(x), y=float(y), **size))
        table.append([f"k{number:03d}", f"real I1009N {number} 2 0", thing["x_coord"], thing["y_coord"]])
    make_run(tmp_path / "run", rows, threshold=0.5, shard_images=200)
    with (tmp_path / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key", "file_comment", "x_coord", "y_coord"], *table])
    return tmp_path


def test_the_command_names_what_repeats(run_folder: Path, cli: Cli) -> None:
    options = ["--table", run_folder / "images.csv", "--pixel-size", "50", "--csv", run_folder / "r.csv"]
    answer = cli("repeats", run_folder / "run", *options)
    assert answer.returncode == 0, answer.stderr
    assert "same pixel 77, 56" in answer.stdout and "same spot of I1009N at" in answer.stdout
    with (run_folder / "r.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["kind"] for line in lines} == {PIXEL, SPOT}
    speck = [line for line in lines if line["kind"] == PIXEL]
    assert {line["key"] for line in speck} <= {f"k{number:03d}" for number in range(20, 30)} and len(speck) >= 8
    without = cli("repeats", run_folder / "run")
    assert "no stage coordinates" in without.stdout and "same spot of" not in without.stdout


@pytest.mark.slow
def test_the_gallery_folds_them_into_one_and_leaves_none_out(run_folder: Path, browser: Browser) -> None:
    from crater_ray.runs.run import open_existing

    table = read_image_table(run_folder / "images.csv")
    with open_existing(run_folder / "run") as run:
        written = write_gallery(
            run, run_folder / "pages", Access(), image_table=table, pixel_nm=50.0, repeats=True, whole=False
        )
    page = new_page(browser, viewport={"width": 1300, "height": 900})
    visit(page, run_folder / "pages")
    folded = int((page.text_content("#where") or "").rpartition(" ")[2])
    assert folded < written.candidates
    turn(page, lambda: page.locator("#fold").uncheck())
    assert (page.text_content("#where") or "").endswith(f"of {written.candidates}")
    turn(page, lambda: page.locator("#fold").check())
    turn(page, lambda: page.fill("#search", "k02"))
    button = page.locator(".fold", has_text="same pixel 77, 56")
    card = page.locator(".card", has=button)
    members = int((button.text_content() or "").split()[0])
    assert members >= 8
    card.focus()
    page.keyboard.press("n")  # one verdict for all that are folded, and on
    assert page.evaluate("document.activeElement.dataset.index") != card.get_attribute("data-index")
    said = {one["key"]: one["verdict"] for one in page.evaluate("craterRay.toFile().verdicts")}
    assert len(said) == members and set(said.values()) == {"not"}
    page.click("#undo")
    assert page.evaluate("craterRay.judged()") == 0
    shown = len(keys_shown(page))
    card.focus()
    turn(page, lambda: page.keyboard.press("e"))
    assert len(keys_shown(page)) == shown + members - 1
    assert page.locator(".fold", has_text="same pixel").count() == 0
    assert page.locator(".flag", has_text="same pixel 77, 56").count() == members
    page.close()
