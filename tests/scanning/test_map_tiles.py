"""Images of any size through the finder: as they are, the largest in tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crater_ray.engines.base import Kind
from crater_ray.errors import UsageError
from crater_ray.images.pixels import pack_stack
from crater_ray.network.bundle import STARDUST, load
from crater_ray.network.evidence import Maps
from crater_ray.network.finder import STRIDE
from crater_ray.places.centres import find_centres
from crater_ray.scanning import map_tiles
from crater_ray.scanning.map_tiles import find_in_tiles
from crater_ray.scanning.scorer import Scorer
from crater_ray.settings import ScanSettings, screen_of, without_needless_screen
from tests.network.test_finder import finder_bundle


class BrightSpots:
    """Gives maps without a network: a position's logit grows with its brightest pixel; every crater has 8 px."""

    stage = "full"
    device = "none"
    kind: Kind = "cpu"

    def score(self, images: np.ndarray) -> Maps:
        n, height, width = images.shape
        padded = np.pad(images, ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE)))
        cells = padded.reshape(n, padded.shape[1] // STRIDE, STRIDE, padded.shape[2] // STRIDE, STRIDE)
        maps = np.zeros((n, cells.shape[1], cells.shape[3], 4), np.float32)
        maps[..., 0] = cells.max(axis=(2, 4)) / 10.0 - 12.0
        return Maps.of(maps, height, width)


def spots() -> np.ndarray:
    image = np.zeros((500, 700), np.uint8)
    for row, column, level in ((20, 30, 150), (250, 350, 200), (255, 610, 180), (480, 690, 160)):
        image[row, column] = level
    return image


def test_tiles_find_what_the_whole_image_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    said = BrightSpots().score(spots()[None])
    whole = find_centres(said.maps[0], 0.01, *spots().shape)
    monkeypatch.setattr(map_tiles, "TILE", 320)
    monkeypatch.setattr(map_tiles, "OVERLAP", 64)
    scores, [tiled] = find_in_tiles(BrightSpots(), spots()[None], 0.01)
    assert len(whole.x) == 4
    np.testing.assert_allclose(scores, said.scores)
    for name in ("x", "y", "diameter", "score"):
        np.testing.assert_allclose(getattr(tiled, name), getattr(whole, name))


def test_only_the_largest_images_go_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a scorer says of an image as it is, it says of it in tiles."""
    seen: list[tuple[int, ...]] = []

    class Looking(BrightSpots):
        def score(self, images: np.ndarray) -> Maps:
            seen.append(images.shape)
            return super().score(images)

    scorer = Scorer(finder_bundle(), "stand-in", 0.5)
    monkeypatch.setattr(scorer, "_engine", Looking())
    whole = scorer.score(pack_stack(spots()[None]))
    assert seen == [(1, 500, 700)]
    monkeypatch.setattr("crater_ray.scanning.scorer.MOST_PIXELS", 1)
    monkeypatch.setattr(map_tiles, "TILE", 320)
    monkeypatch.setattr(map_tiles, "OVERLAP", 64)
    tiled = scorer.score(pack_stack(spots()[None]))
    assert set(seen[1:]) == {(1, 320, 320), (1, 244, 320), (1, 320, 188), (1, 244, 188)}
    np.testing.assert_allclose(tiled.score, whole.score)
    np.testing.assert_allclose(tiled.place, whole.place)
    assert len(tiled.values["places"][0]) == len(whole.values["places"][0]) == 4


@pytest.mark.parametrize("engine", ["keras", "openvino-float"])
def test_every_image_gets_all_its_craters(engine: str) -> None:
    """Also images whose sides are no multiples of 16, by each engine."""
    images = np.random.default_rng(1).integers(0, 255, (2, 101, 130), np.uint8)
    scored = Scorer(finder_bundle(), engine, 0.5).score(pack_stack(images))
    for row, places in enumerate(scored.values["places"]):
        assert places, "random weights see craters everywhere"
        assert max(place["score"] for place in places) == pytest.approx(scored.score[row], abs=1e-6)
        assert (places[0]["x"], places[0]["y"]) == pytest.approx(tuple(scored.place[row, :2]))
        assert all(0 <= place["x"] < 130 and 0 <= place["y"] < 101 for place in places)


def test_engines_agree_on_odd_sizes() -> None:
    images = np.random.default_rng(2).integers(60, 90, (3, 101, 130), np.uint8)
    first, second = (
        Scorer(finder_bundle(), name, 0.5).score(pack_stack(images)) for name in ("keras", "openvino-float")
    )
    np.testing.assert_allclose(first.score, second.score, atol=1e-3)


def test_a_finder_needs_no_screen() -> None:
    """`--screen` is left out with a word; where a network lacks the screen that it needs, it stays an error."""
    asked = ScanSettings("archive", "RUN", screen=True)
    settings, note = without_needless_screen(asked, finder_bundle())
    assert not settings.screen
    assert "needs no screen" in note
    stardust = replace(load(STARDUST), screen=None)
    assert without_needless_screen(asked, stardust) == (asked, "")
    with pytest.raises(UsageError, match="has no screen"):
        screen_of(asked, stardust)
