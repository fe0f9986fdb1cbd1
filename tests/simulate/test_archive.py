"""Simulated archives: the layout of the site, the same bytes for the same seed, and nothing half done."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.simulate import Ranges, simulate_archive
from crater_ray.simulate.foil import one_foil
from tests.conftest import Cli


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _rows(labels: Path) -> list[dict[str, str]]:
    with labels.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images, seven with a crater."""
    return simulate_archive(tmp_path_factory.mktemp("made") / "archive", images=12, craters=7, seed=5, workers=1).parent


def test_the_archive_has_the_layout_of_the_site_and_the_labels_agree(archive: Path) -> None:
    rows = _rows(archive / "labels.csv")
    assert list(rows[0]) == ["key", "label", "diameter_px", "x", "y"]
    assert len({row["key"] for row in rows}) == 12
    assert sum(row["label"] == "1" for row in rows) == 7
    on_disk = {str(path.relative_to(archive)) for path in archive.rglob("*.jpg")}
    assert on_disk == {f"{row['key']}/{row['key']}-001.jpg" for row in rows}
    for row in rows:
        assert row["key"].startswith(("fm_", "fc_000"))
        with Image.open(archive / row["key"] / f"{row['key']}-001.jpg") as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (512, 384), "L")
        if row["label"] == "0":
            assert row["diameter_px"] == row["x"] == row["y"] == ""
        else:
            assert 4 <= float(row["diameter_px"]) <= 40
            assert 0 < float(row["x"]) < 511
            assert 0 < float(row["y"]) < 383
    about = json.loads((archive / "simulation.json").read_text(encoding="utf-8"))
    assert (about["seed"], about["images"], about["craters"]) == (5, 12, 7)
    assert about["ranges"]["crater_diameter_px"] == [4.0, 40.0]


@pytest.mark.slow
def test_the_archive_is_the_same_with_one_and_with_two_workers(archive: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate_archive(
        tmp_path / "two", 12, 7, seed=5, workers=2, progress=lambda done, total: seen.append((done, total))
    )
    assert _files(tmp_path / "two") == _files(archive)
    assert seen == [(number, 12) for number in range(1, 13)]


@pytest.mark.slow
def test_another_seed_gives_another_archive(archive: Path, tmp_path: Path) -> None:
    other = _files(simulate_archive(tmp_path / "other", 12, 7, seed=6).parent)
    assert not {name for name in other if name.endswith(".jpg")} & set(_files(archive))


@pytest.mark.slow
def test_images_of_one_foil_are_more_alike_than_images_of_many(tmp_path: Path) -> None:
    def spread(foil: int | None, name: str) -> float:
        folder = simulate_archive(tmp_path / name, 12, 3, seed=5, foil=foil).parent
        return float(np.std([np.asarray(Image.open(path)).mean() for path in sorted(folder.rglob("*.jpg"))]))

    assert spread(2, "one") < 0.5 * spread(None, "many")
    narrow, whole = one_foil(Ranges(), 2), Ranges()
    assert narrow == one_foil(Ranges(), 2) != one_foil(Ranges(), 3)
    assert narrow.crater_diameter_px == whole.crater_diameter_px
    for one in (one_foil(whole, number) for number in range(20)):
        for low, high, least, most in [(*one.noise, *whole.noise), (*one.pit_count, *whole.pit_count)]:
            assert least <= low <= high <= most
        assert one.grain_chance in (0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"images": 3, "craters": 1, "foil": -1}, "received: --foil -1"),
        ({"images": 3, "craters": 4}, "must not exceed images; received: --craters 4 and --images 3"),
        ({"images": 0, "craters": 0}, "at least one image"),
        ({"images": 3, "craters": -1}, "cannot be negative"),
        ({"images": 3, "craters": 1, "seed": -2}, "--seed -2"),
        ({"images": 3, "craters": 1, "workers": 0}, "one worker"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(tmp_path: Path, arguments: dict[str, int], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        simulate_archive(tmp_path / "out", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_never_written_to(tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "precious.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty"):
        simulate_archive(used, 1, 0)
    with pytest.raises(UsageError, match="is a file"):
        simulate_archive(used / "precious.txt", 1, 0)
    with pytest.raises(UsageError, match="cannot be made"):
        simulate_archive(used / "precious.txt" / "deeper", 1, 0)
    assert _files(used) == {"precious.txt": b"keep"}


def test_an_archive_that_cannot_be_written_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []

    def full_disk(image: Image.Image, *arguments: object, **options: object) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(image)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(CraterRayError, match=r"Only 1 of 3 images .* No space left"):
        simulate_archive(tmp_path / "out", 3, 0, workers=1)
    assert not (tmp_path / "out" / "labels.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("images", [4, 60])
def test_an_archive_that_was_stopped_leaves_nothing(tmp_path: Path, images: int) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_archive(tmp_path / "out", images, 0, progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_demonstration_keeps_out_of_folders_in_use(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.txt").write_text("dear")
    for place in (tmp_path, tmp_path / "mine.txt"):
        answer = cli("demo", place)
        assert answer.returncode == 2
        assert "in use" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_foil_stays_the_same_foil() -> None:
    """Fields that are added to `Ranges` move no other: archives made with --foil would change."""
    chosen = one_foil(Ranges(), 0)
    assert chosen.roughness_slope == pytest.approx((0.0235479, 0.0381631), rel=1e-4)
    assert chosen.jpeg_quality == pytest.approx((76.46155, 79.66115), rel=1e-4)
    assert chosen.stain_ring == Ranges().stain_ring
