"""Loading and scoring one block: Arrow in between, places, tiles."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.engines.keras_engine import KerasEngine
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.network.stardust import RECEPTIVE_FIELD, TILE, feature_size
from crater_ray.places.locate import contributions, locate
from crater_ray.places.tiles import tile_corners
from crater_ray.scanning.loader import BLOCK_PIXELS, load
from crater_ray.scanning.scorer import Scorer
from crater_ray.storage import bulk
from crater_ray.storage import s3_clients as clients
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError


def save(folder: Path, name: str, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(folder / name)
    return (folder / name).as_uri()


@pytest.fixture
def mixed(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(5)
    sizes = [(100, 120), (384, 512), (92, 92), (100, 120), (640, 800), (384, 512)]
    uris = [save(tmp_path, f"{i}.png", rng.integers(0, 255, size, np.uint8)) for i, size in enumerate(sizes)]
    return [uris[0], (tmp_path / "gone.png").as_uri(), *uris[1:]]


def test_every_image_of_a_block_is_answered(mixed: list[str]) -> None:
    loaded, batch = load(mixed, Access())
    assert loaded.done == 7
    assert loaded.status == ["ok", "missing", "ok", "ok", "ok", "ok", "ok"]
    assert loaded.values["height"] == [100, None, 384, 92, 100, 640, 384]
    assert sorted(batch["row"].to_pylist()) == [0, 2, 3, 4, 5, 6]
    sizes = list(zip(batch["height"].to_pylist(), batch["width"].to_pylist(), strict=True))
    assert sizes == sorted(sizes)
    for row, pixels in zip(batch["row"].to_pylist(), batch["pixels"].to_pylist(), strict=True):
        original = np.asarray(Image.open(mixed[row].removeprefix("file://")))
        assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(original.shape), original)


def test_block_ends_early_when_its_images_are_huge(tmp_path: Path) -> None:
    side = 5_000
    uri = save(tmp_path, "huge.png", np.zeros((side, side), np.uint8))
    loaded, batch = load([uri] * 6, Access())
    assert loaded.done == BLOCK_PIXELS // side**2 + 1
    assert batch.num_rows == loaded.done


@pytest.mark.slow
def test_scores_are_those_of_the_model_alone(mixed: list[str], untrained: Path) -> None:
    bundle = bundles.load(untrained)
    _, batch = load(mixed, Access())
    scored = Scorer(bundle, "keras", 0.0).score(batch)
    model = bundle.model()
    for row, score, (x, y, _) in zip(scored.row, scored.score, scored.place, strict=True):
        pixels = np.asarray(Image.open(mixed[row].removeprefix("file://")))
        if pixels.shape[0] <= TILE[0]:
            assert score == pytest.approx(float(model(pixels[None, :, :, None])[0, 0]), abs=1e-5)
        assert 0 <= x < pixels.shape[1]
        assert 0 <= y < pixels.shape[0]


def test_engine_answers_the_same_in_any_batch(untrained: Path) -> None:
    engine = KerasEngine(bundles.load(untrained))
    images = np.random.default_rng(2).integers(0, 255, (11, 100, 130), np.uint8)
    together = engine.score(images)
    for i in range(11):
        alone = engine.score(images[i : i + 1])
        assert alone.scores[0] == pytest.approx(together.scores[i], abs=1e-5)
        assert np.array_equal(alone.positions[0], together.positions[i])
    assert together.positions.max() < feature_size(100) * feature_size(130)


def test_contributions_are_the_gradient_times_the_feature(untrained: Path) -> None:
    weights = bundles.load(untrained).weights
    peaks = np.random.default_rng(0).random((2, 32)).astype(np.float32)

    def logit(values: np.ndarray) -> float:
        for number in range(1, 7):
            values = np.maximum(values @ weights[f"dense{number}/kernel"] + weights[f"dense{number}/bias"], 0)
        return float((values @ weights["dense7/kernel"])[0])

    found = contributions(peaks, weights)
    for feature in range(32):
        step = np.zeros(32, np.float64)
        step[feature] = 1e-3
        slope = (logit(peaks[0] + step) - logit(peaks[0] - step)) / 2e-3
        assert found[0, feature] == pytest.approx(slope * peaks[0, feature], abs=1e-3)


def test_place_is_where_the_strongest_features_agree(untrained: Path) -> None:
    weights = bundles.load(untrained).weights
    peaks = np.random.default_rng(1).random((1, 32)).astype(np.float32) + 0.1
    added = np.maximum(contributions(peaks, weights), 0)[0]
    columns = feature_size(512)
    positions = np.where(added > 0, 7 * columns + 11, 0)[None].astype(np.int32)
    x, y = locate(peaks, positions, 384, 512, weights)
    centre = (RECEPTIVE_FIELD - 1) / 2
    assert (x[0], y[0]) == (11 * 16 + centre, 7 * 16 + centre)


@pytest.mark.parametrize("size", [(768, 1024), (385, 513), (384, 5000), (92, 9000), (2000, 1700)])
def test_tiles_cover_the_image_and_overlap_by_the_receptive_field(size: tuple[int, int]) -> None:
    corners = tile_corners(*size)
    for axis in (0, 1):
        starts = sorted({corner[axis] for corner in corners})
        tile = min(TILE[axis], size[axis])
        assert starts[0] == 0
        assert starts[-1] + tile == size[axis]
        for before, after in itertools.pairwise(starts):
            assert before + tile - after >= RECEPTIVE_FIELD


def test_bad_names_of_engines() -> None:
    from crater_ray.engines.choice import resolve

    with pytest.raises(UsageError, match="must be one of"):
        resolve("magic")


def test_storage_errors_are_no_verdicts_on_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PAUSES", ())
    monkeypatch.setattr(clients, "RETRIES", 1)
    clients.bulk_store.cache_clear()
    out = io.BytesIO()
    Image.new("L", (100, 100), 9).save(out, "PNG")
    (tmp_path / "a.png").write_bytes(out.getvalue())
    unreachable = "s3://bucket/x.png"
    access = Access("http://127.0.0.1:9", anonymous=True)
    with pytest.raises(StorageError):
        load([unreachable], access, last_try=True)
    loaded, _ = load([(tmp_path / "a.png").as_uri(), unreachable], access, last_try=True)
    assert loaded.status == ["ok", "unreadable"]
