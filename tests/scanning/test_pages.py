"""Images of several pages: the best page answers for its image, and rows and summary say what there was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile
from PIL import Image
from rich.console import Console

from crater_ray.network import bundle as bundles
from crater_ray.results.gallery.pictures import Subject, make_chunk
from crater_ray.runs.check import count_pages
from crater_ray.runs.run import open_existing
from crater_ray.scanning.loader import load
from crater_ray.scanning.localization import localize
from crater_ray.scanning.scan import scan
from crater_ray.scanning.scorer import Scorer
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from tests.conftest import Cli


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stacks, a file with a thumbnail, and a plain image."""
    folder = tmp_path_factory.mktemp("stacks")
    rng = np.random.default_rng(1)
    pages = [rng.integers(low, low + 60, (100, 120), np.uint8) for low in (40, 180, 90)]
    for name, order in {"second": (0, 1, 2), "third": (0, 2, 1)}.items():
        with tifffile.TiffWriter(folder / f"{name}.tif") as writer:
            for page in order:
                writer.write(pages[page], metadata=None)
    with tifffile.TiffWriter(folder / "thumbnail.tif") as writer:
        for pixels in (pages[1][::2, ::2], pages[1]):
            writer.write(pixels, metadata=None)
    Image.fromarray(pages[1]).save(folder / "alone.png")
    return folder


def uris(folder: Path) -> list[str]:
    return [path.as_uri() for path in sorted(folder.iterdir())]


@pytest.mark.slow
@pytest.mark.parametrize("localizes", [True, False])
def test_the_best_page_answers_for_its_image(stacks: Path, untrained: Path, localizes: bool) -> None:
    bundle = bundles.load(untrained)
    loaded, batch = load(uris(stacks), Access())
    assert loaded.values["pages"] == [1, 3, 3, 1]
    assert loaded.values["pages_left_out"] == [0, 0, 0, 1]
    scored = Scorer(bundle, "keras", 0.0, localizes=localizes).score(batch)
    assert scored.row.tolist() == [0, 1, 2, 3]
    each = Scorer(bundle, "keras", 0.0)
    alone = {}
    for at in range(batch.num_rows):
        row, page = batch["row"][at].as_py(), batch["page"][at].as_py()
        alone[row, page] = each.score(batch.slice(at, 1))
    if scored.unlocalized is not None:
        scored = scored.with_places(localize(batch, scored.unlocalized, bundle.weights))
    for row in range(4):
        best = max((key for key in alone if key[0] == row), key=lambda key: alone[key].score[0])
        assert scored.values["page"][row] == best[1]
        assert scored.score[row] == pytest.approx(alone[best].score[0], abs=1e-5)
        assert scored.place[row] == pytest.approx(alone[best].place[0], abs=0.01, nan_ok=True)


@pytest.mark.slow
def test_a_scan_says_which_page_and_what_it_left_out(ray_here: None, stacks: Path, tmp_path: Path, cli: Cli) -> None:
    settings = ScanSettings(str(stacks), str(tmp_path / "run"), engine="stand-in", threshold=0.5)
    scan(settings, Console(quiet=True))
    rows = {row["key"]: row for row in pa.concat_tables(open_existing(tmp_path / "run").parts()).to_pylist()}
    assert {key: (row["page"], row["pages"], row["pages_left_out"]) for key, row in rows.items()} == {
        "alone": (1, 1, 0),
        "second": (2, 3, 0),
        "third": (3, 3, 0),
        "thumbnail": (2, 1, 1),
    }
    assert len({row["score"] for row in rows.values()}) == 1
    for command in ("verify", "status"):
        said = " ".join(cli(command, tmp_path / "run").stdout.split())
        assert "3 images have several pages: 7 pages were scored; 1 more" in said
    listed = cli("candidates", tmp_path / "run", "--threshold", "0", "--csv", "-").stdout
    assert "pages_left_out" in listed.splitlines()[0]


def test_the_gallery_shows_the_page_of_the_candidate(stacks: Path, tmp_path: Path) -> None:
    uri = (stacks / "second.tif").as_uri()
    subjects = [Subject(uri, 60, 50), Subject(uri, 60, 50, page=2)]
    first, second = make_chunk(0, subjects, tmp_path, Access(), whole=True)
    assert first.problem is second.problem is None
    assert first.high < 110 < 170 < second.low
    shown = [np.asarray(Image.open(path)).mean() for path in sorted((tmp_path / "images").rglob("*.jpg"))]
    assert shown[0] < 110 < 170 < shown[1]


def test_runs_of_earlier_versions_have_no_pages() -> None:
    assert count_pages(pa.table({"key": ["a"]})) == (0, 0, 0)
    assert count_pages(pa.table({"pages": pa.array([None, 1]), "pages_left_out": pa.array([None, 0])})) == (0, 0, 0)
