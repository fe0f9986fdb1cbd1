"""Candidates that look alike: features of places, kept beside the parts, and the nearest ones."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from crater_ray.engines.features import SIDE, FeatureMaker, _keras
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.network.bundle import load
from crater_ray.results.similar.describe import around, describe, network_of
from crater_ray.results.similar.kept import file_of, matrix, read_features, with_features, write_features
from crater_ray.results.similar.look_alikes import LookAlikes
from crater_ray.results.similar.search import look_for
from crater_ray.runs.run import Run, open_existing
from crater_ray.simulate import simulate_frame
from crater_ray.storage.access import Access
from tests.conftest import Cli
from tests.made_runs import make_run, row

EACH = 8
"""Craters of 24 px, craters of 7 px and bright specks, so many of each."""


def scene(number: int) -> tuple[np.ndarray, float, float]:
    """An image of smooth foil with one thing in it, and where that is."""
    kind, rng = number // EACH, np.random.default_rng([9, number])
    if kind < 2:
        frame = simulate_frame(rng, (130, 150), (24.0 if kind == 0 else 7.0,))
        return frame.pixels, frame.craters[0].x, frame.craters[0].y
    pixels = rng.normal(90, 4, (130, 150))
    x, y = rng.uniform(30, 100, 2)
    far = np.hypot(np.arange(150)[None, :] - x, np.arange(130)[:, None] - y)
    pixels[far < 3] += 120
    return np.clip(pixels, 0, 255).astype(np.uint8), float(x), float(y)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("similar")
    rows = []
    for number in range(3 * EACH):
        pixels, x, y = scene(number)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        known = {"x": x, "y": y, "uri": (folder / f"{number}.png").as_uri(), "page": 1}
        rows.append(row(f"k{number:02d}", 0.9 - number / 100, **known))
    rows.append(row("below", 0.1, x=60.0, y=60.0, uri=(folder / "0.png").as_uri()))
    rows.append(row("nowhere", 0.95))
    rows.append(row("gone", 0.8, x=1.0, y=1.0))
    return make_run(folder / "run", rows, threshold=0.5)


def digests(run: Run) -> dict[str, str]:
    folder = Path(run.folder.uri)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "features" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.parametrize("network", ["finder", "stardust"])
def test_alike_is_what_looks_alike(mixed: Run, network: str) -> None:
    before = digests(mixed)
    bundle = load(network)
    right = []
    assert describe(mixed, Access(), bundle).problems == {"the file is not there (any more)": 1}
    for number in range(3 * EACH):
        found, _ = look_for(mixed, f"k{number:02d}", EACH - 1, Access(), bundle)
        right += [int(key[1:]) // EACH == number // EACH for key in found["key"].to_pylist()]
        assert found["similarity"].to_pylist() == sorted(found["similarity"].to_pylist(), reverse=True)
    assert np.mean(right) > 0.7  # by chance 0.3
    assert digests(mixed) == before and mixed.check().whole
    table, about = read_features(mixed, bundle)
    assert table.num_rows == 3 * EACH and about["threshold"] == 0.5
    assert pa.types.is_float16(table.schema.field("features").type.value_type)


def test_features_are_the_same_by_keras() -> None:
    surroundings = np.stack([around(scene(number)[0], *scene(number)[1:]) for number in (0, 9, 17)])
    for name in ("finder", "stardust"):
        bundle = load(name)
        maker = FeatureMaker(bundle)
        features = maker.of(surroundings)
        maker._forward = _keras(bundle, [layer for layer, _ in maker._layers])
        assert np.abs(maker.of(surroundings) - features).max() < 1e-4 * features.max()


def test_a_place_at_the_border_is_continued() -> None:
    pixels = np.arange(100 * 120, dtype=np.uint32).reshape(100, 120) % 251
    there = around(pixels.astype(np.uint8), 5.0, 97.0)
    assert there.shape == (SIDE, SIDE)
    assert there[SIDE // 2, SIDE // 2] == pixels[97, 5]
    assert (there[:, SIDE // 2 - 5 - 3] == there[:, SIDE // 2 - 5 + 3]).all()  # mirrored at the left border


def test_what_is_kept_is_used_and_completed(mixed: Run) -> None:
    bundle = load("finder")
    first = describe(mixed, Access(), bundle, 0.8)
    calls: list[tuple[int, int]] = []
    again = describe(mixed, Access(), bundle, 0.8, lambda *done: calls.append(done))
    assert calls == [] and again.table.equals(first.table)
    more = describe(mixed, Access(), bundle, 0.05, lambda *done: calls.append(done))
    assert "below" in more.table["key"].to_pylist() and calls
    fewer = describe(mixed, Access(), bundle, 0.8)
    assert fewer.table["key"].to_pylist() == first.table["key"].to_pylist()
    mixed.folder.publish(file_of(bundle), b"damaged")
    assert describe(mixed, Access(), bundle, 0.8).table.equals(first.table)
    write_features(mixed, bundle, first.table, 0.8, parts=1)  # the run has got more parts since
    assert describe(mixed, Access(), bundle, 0.8).table.num_rows == first.table.num_rows


def test_features_of_another_run_are_not_taken(mixed: Run, tmp_path: Path) -> None:
    bundle = load("finder")
    described = describe(mixed, Access(), bundle)
    other = make_run(tmp_path / "run", [row("k00", 0.9)])
    data = mixed.folder.read(file_of(bundle))
    other.folder.publish(file_of(bundle), data)
    assert read_features(other, bundle)[0].num_rows == 0 and described.table.num_rows
    with pytest.raises(UsageError, match="no candidate with a place"):
        describe(other, Access(), bundle)
    gone = make_run(tmp_path / "gone", [row("k00", 0.9, x=1.0, y=1.0)])
    with pytest.raises(CraterRayError, match="Not one of the 1 images"):
        describe(gone, Access(), bundle)


def test_the_command(mixed: Run, tmp_path: Path, cli: Cli) -> None:
    shutil.rmtree(Path(mixed.folder.uri, "features"), ignore_errors=True)  # else what another test kept suffices
    answer = cli("similar", mixed.folder.uri, "k00", "--top", "3", "--csv", tmp_path / "s.csv")
    assert answer.returncode == 0, answer.stderr
    assert f"most like 'k00' of {3 * EACH} candidates" in answer.stdout
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].startswith('"similarity","key"') and len(lines) == 4
    assert "k00" not in [line.split(",")[1].strip('"') for line in lines[1:]]
    assert cli("similar", mixed.folder.uri, "below", "--top", "2").returncode == 0  # no candidate, but it has a place
    for key, why in (("nobody", "no image 'nobody'"), ("nowhere", "no place"), ("gone", "cannot be read")):
        answer = cli("similar", mixed.folder.uri, key)
        assert (answer.returncode, why in answer.stderr) == (2, True), answer.stderr


def test_the_network_is_the_runs_own_where_it_ships(tmp_path: Path) -> None:
    finder, default = load("finder"), load()
    run = make_run(tmp_path / "run", [row("k", 0.9)], bundle=finder.id)
    assert network_of(run).id == finder.id
    with open_existing(make_run(tmp_path / "other", [row("k", 0.9)]).folder.uri) as other:
        assert network_of(other).id == default.id
        assert network_of(other, "finder").id == finder.id


def test_short_directions_keep_the_order() -> None:
    rng = np.random.default_rng(4)
    groups = rng.normal(0, 1, (12, 160))
    features = np.abs(groups[np.arange(600) % 12] + rng.normal(0, 0.4, (600, 160)))
    alike = LookAlikes.of(features.astype(np.float16))
    short = alike.short().astype(np.float32)
    assert short.dtype == np.float32 and short.shape == (600, 48) and np.abs(short).max() == 127
    for place in range(0, 600, 50):
        order, like = alike.nearest(place, 20)
        assert (order % 12 == place % 12).all() and like.min() > 0.5
        near = np.argsort(-(short @ short[place]), kind="stable")[1:21]
        assert (near % 12 == place % 12).all()
    assert LookAlikes.of(np.zeros((1, 5), np.float16)).nearest(0, 3)[0].tolist() == []
    assert LookAlikes.of(np.zeros((0, 0), np.float16)).short().shape == (0, 0)


def test_numbers_too_large_for_float16_stay_finite() -> None:
    rows = pa.Table.from_pylist([dict.fromkeys(("key", "uri", "score", "x", "y", "diameter", "page"))])
    assert np.isfinite(matrix(with_features(rows, np.array([[1e9, 1.0]], np.float32)))).all()
