"""Information bars through a whole scan: the same candidates at the same places as without them, and an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

import crater_ray
from crater_ray.images.crop import Crop
from crater_ray.images.decode import read_picture
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.status import UNSUPPORTED, Refusal
from crater_ray.network import bundle as bundles
from crater_ray.scanning.loader import Loaded, load
from crater_ray.scanning.scorer import Scored, Scorer, Verdicts
from crater_ray.scanning.shard import Block
from crater_ray.simulate.archive import simulate_archive
from crater_ray.storage.access import Access
from tests.images import made_by_microscopes as made
from tests.images.made_bars import draw_bar
from tests.runs.test_columns import work

Cli = Callable[..., CompletedProcess[str]]
ROWS = 48


@pytest.fixture(scope="module")
def foils(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Twelve simulated images, with a crater each."""
    folder = tmp_path_factory.mktemp("foils")
    simulate_archive(folder, 12, 12, seed=8, workers=1)
    return [np.asarray(Image.open(path).convert("L")) for path in sorted(folder.rglob("*.jpg"))]


def write(folder: Path, images: list[np.ndarray]) -> list[str]:
    folder.mkdir(parents=True)
    paths = [folder / f"{number:02d}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return [path.as_uri() for path in paths]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    bundle = bundles.load()
    return Scorer(bundle, "keras", bundle.typical_threshold)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "white text", "black", "in the picture"])
def test_the_candidates_are_those_without_a_bar(
    foils: list[np.ndarray], scorer: Scorer, kind: str, tmp_path: Path
) -> None:
    if kind == "in the picture":
        plain = [foil[:-ROWS] for foil in foils]
        barred = [np.vstack([foil[:-ROWS], draw_bar("text", foil.shape[1], ROWS)]) for foil in foils]
    else:
        plain = foils
        barred = [np.vstack([foil, draw_bar(kind, foil.shape[1], ROWS)]) for foil in foils]
    expected = scorer.score(load(write(tmp_path / "plain", plain), Access())[1])
    loaded, batch = load(write(tmp_path / "barred", barred), Access())
    found = scorer.score(batch)
    assert loaded.values["bar"] == [ROWS] * 12
    assert loaded.values["height"] == [barred[0].shape[0]] * 12
    np.testing.assert_array_equal(found.score, expected.score)
    np.testing.assert_array_equal(found.place, expected.place)
    assert (found.score >= bundles.load().typical_threshold).sum() >= 4, "else nothing is shown"
    with_bars = scorer.score(load(write(tmp_path / "again", barred), Access(), reading=Reading(Crop("none")))[1])
    assert (with_bars.score != expected.score).any(), "the bar was seen where it is not left out"


@pytest.mark.slow
def test_a_scan_gives_an_account_of_bars(foils: list[np.ndarray], tmp_path: Path, cli: Cli, shared_ray: None) -> None:
    source = tmp_path / "archive"
    write(source, [*foils[:8], *(np.vstack([foil, draw_bar("text", foil.shape[1], ROWS)]) for foil in foils[8:])])
    tagged = np.vstack([foils[0], draw_bar("black", foils[0].shape[1], ROWS)])
    (source / "tagged.tif").write_bytes(made.tiff(tagged, 34682, made.FEI))
    scan = ("scan", source, "--out", tmp_path / "run", "--engine", "stand-in")
    rehearsed = cli(*scan, "--dry-run")
    assert (
        "bars     5 of 13 images have an information bar, left out: 48 rows; 1 by the file, 4 by the look"
        in rehearsed.stderr
    )
    assert "pixels   2.5 nm wide, known for 1 of 13 images" in rehearsed.stderr
    answer = cli(*scan)
    assert answer.returncode == 0, answer.stderr
    assert "5 of 13 images have an information bar, left out: 48 rows; 1 by the file, 4 by the look" in answer.stderr
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["bars"] == {"images": 5, "of": 13, "rows": {"48": 5}, "told_by": {"look": 4, "file": 1}}
    with crater_ray.open_run(tmp_path / "run") as results:
        rows = {row["key"]: row for row in results.table().to_pylist()}
    assert [rows[f"{number:02d}"]["bar"] for number in range(12)] == [None] * 8 + [48] * 4
    assert (rows["08"]["height"], rows["08"]["bar_from"]) == (foils[8].shape[0] + ROWS, "look")
    assert (rows["tagged"]["bar"], rows["tagged"]["bar_from"], rows["tagged"]["pixel_nm"]) == (48, "file", 2.5)
    assert rows["tagged"]["score"] == rows["00"]["score"], "its picture is that of the first image"
    assert all(rows["00"][name] is not None for name in ("focus", "noise", "contrast", "saturated"))
    refused = cli(*scan, "--crop", "none")
    assert refused.returncode == 2
    assert "crop: the run has None, the command 'none'" in refused.stderr


@pytest.mark.slow
def test_what_is_cut_by_hand_is_recorded_and_places_stay_those_of_the_file(
    foils: list[np.ndarray], tmp_path: Path, cli: Cli, shared_ray: None
) -> None:
    source = tmp_path / "archive"
    write(source, [foils[0], np.full((120, 512), 99, np.uint8)])
    answer = cli(
        "scan", source, "--out", tmp_path / "run", "--engine", "stand-in", "--crop", "top=20,bottom=10,left=30"
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["settings"]["crop"] == "top=20,bottom=10,left=30"
    with crater_ray.open_run(tmp_path / "run") as results:
        first, second = results.table().to_pylist()
    assert (first["height"], first["width"], first["bar"]) == (*foils[0].shape, None)
    part = foils[0][20:-10, 30:]
    assert first["score"] == np.float32(part[::8, ::8].mean(dtype=np.float32) / np.float32(255))
    assert second["status"] == UNSUPPORTED
    assert second["error"].startswith("--crop top=20,bottom=10,left=30 leaves 482x90 of 512x120 pixels")
    wrong = cli("scan", source, "--out", tmp_path / "other", "--crop", "48")
    assert wrong.returncode == 2 and "--crop must be auto, none" in wrong.stderr


def test_places_count_from_the_files_first_pixel() -> None:
    shard, block = work(3), Loaded()
    picture = Picture.of(np.zeros((100, 120), np.uint8))
    for answer in (replace(picture, left=30, top=20), Refusal(UNSUPPORTED, "too small"), picture):
        block.note(answer)
    found = Verdicts.none(2)
    found.values["x"][:], found.values["y"][:] = [5, 7], [6, np.nan]
    found.values["places"][0] = [{"x": 5.0, "y": 6.0, "score": 0.5, "diameter": None}]
    shard.take(Block(0, 0, 3), block, Scored(np.array([0, 2], np.int32), found.values, 0.0))
    rows = shard.rows("b").to_pydict()
    assert rows["x"] == [35, None, 7] and rows["y"] == [26, None, None]
    assert rows["places"] == [[{"x": 35.0, "y": 26.0, "score": 0.5, "diameter": None}], None, None]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".txt", ".hdr"])
def test_what_lies_beside_an_image_is_read(tmp_path: Path, cli: Cli, shared_ray: None, suffix: str) -> None:
    source = tmp_path / "archive"
    rng = np.random.default_rng(1)
    write(source, [rng.integers(80, 90, (384, 512), np.uint8) for _ in range(2)])
    text, name = (made.HITACHI, "00.txt") if suffix == ".txt" else (made.TESCAN, "00-png.hdr")
    (source / name).write_text(text, encoding="utf-16" if suffix == ".txt" else "latin-1")
    answer = cli("scan", source, "--out", tmp_path / "run", "--engine", "stand-in")
    assert answer.returncode == 0, answer.stderr
    with crater_ray.open_run(tmp_path / "run") as results:
        first, second = results.table(["pixel_nm", "instrument", "voltage_kv", "magnification"]).to_pylist()
    expected = (9.921875, "SU8230", 15, 10_000) if suffix == ".txt" else (41, "MIRA3 LMH", 15, 5000)
    assert tuple(first.values()) == (pytest.approx(expected[0]), *expected[1:])
    assert set(second.values()) == {None}
    again = cli("rescan", tmp_path / "run", "--out", tmp_path / "again", "--engine", "stand-in", "--pixel-size", "60")
    assert again.returncode == 0, again.stderr
    with crater_ray.open_run(tmp_path / "again") as results:
        assert results.table(["pixel_nm", "instrument"]).to_pydict() == {
            "pixel_nm": [60, 60],
            "instrument": [expected[1], None],
        }


@pytest.mark.parametrize("kind", ["text", "white text", "black", "line above"])
@pytest.mark.parametrize("deep", ["12 bits", "floats", "colours"])
def test_the_levels_of_deep_images_are_those_without_their_bar(foils: list[np.ndarray], kind: str, deep: str) -> None:
    """A bar is black and white in 16 bits; a picture that shares their range would keep a few levels."""
    dark = foils[0].astype(np.uint16) * 12 + 300
    bar = draw_bar(kind, dark.shape[1], ROWS).astype(np.uint16) * 257
    plain, barred = dark, np.vstack([dark, bar])
    if deep == "floats":
        plain, barred = plain.astype(np.float32) / 7, barred.astype(np.float32) / 7
    if deep == "colours":
        plain, barred = (np.repeat(image[..., None], 3, axis=2) for image in (plain, barred))
    expected, found = (read_picture(made.tiff(image)) for image in (plain, barred))
    assert isinstance(expected, Picture) and isinstance(found, Picture)
    assert (found.bar, found.bar_from, expected.bar) == (ROWS, "look", 0)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert len(np.unique(found.pixels)) > 60
