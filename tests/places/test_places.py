"""Places and diameters of candidates: the network that ships, on simulated craters whose place is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.engines.registry import create
from crater_ray.images.pixels import pack
from crater_ray.network import bundle as bundles
from crater_ray.network.evidence import Evidence
from crater_ray.network.stardust import TILE, feature_size
from crater_ray.places.locate import find_place, find_places, locate
from crater_ray.places.tiles import SAME, distinct_places
from crater_ray.scanning.loader import load
from crater_ray.scanning.localization import localize
from crater_ray.scanning.scorer import Scorer
from crater_ray.simulate import simulate_archive, simulate_frame
from crater_ray.simulate.frame import Frame
from crater_ray.storage.access import Access

BUNDLE = bundles.load(bundles.STARDUST)


def test_detected_craters_are_where_they_are_said_to_be() -> None:
    rng = np.random.default_rng(5)
    frames: list[Frame] = []
    while len(frames) < 40:
        frame = simulate_frame(rng, (160, 208), (float(rng.uniform(8, 34)),))
        if frame.craters[0].contrast_to_noise > 5:
            frames.append(frame)
    images = np.stack([frame.pixels for frame in frames])
    evidence = create("keras", BUNDLE).score(images)
    threshold = np.float32(BUNDLE.typical_threshold)
    places = find_places(images, evidence, threshold, threshold, BUNDLE.weights)
    detected = np.flatnonzero(evidence.scores >= threshold)
    assert len(detected) >= 20
    right, sizes = [], []
    for i in detected:
        crater = frames[i].craters[0]
        x, y, diameter = places[i]
        right.append(np.hypot(x - crater.x, y - crater.y) <= 8 + crater.diameter_px / 2)
        sizes.append(abs(np.log(diameter / crater.diameter_px)) < np.log(1.25))
    assert np.mean(right) >= 0.95
    assert np.mean(sizes) >= 0.85
    assert np.isnan(places[evidence.scores < threshold]).all()


def evidence_at(x: float, y: float, score: float) -> Evidence:
    """What an engine says of an image of 240x320 when all features fire at the position nearest to x, y."""
    columns = feature_size(320)
    column = np.clip(round((x - 45.5) / 16), 0, columns - 1)
    row = np.clip(round((y - 45.5) / 16), 0, feature_size(240) - 1)
    positions = np.full((1, 32), row * columns + column, np.int32)
    return Evidence(np.full(1, score, np.float32), np.ones((1, 32), np.float32), positions)


@pytest.mark.parametrize("off", [(0, 0), (28, -25), (-28, 28)])
def test_the_ring_is_found_wherever_in_the_sight_of_the_evidence_it_lies(off: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    crater = None
    while crater is None or crater.contrast_to_noise < 10:
        frame = simulate_frame(rng, (240, 320), (14.0,))
        crater = frame.craters[0]
    found = evidence_at(crater.x + off[0], crater.y + off[1], 0.9)
    place = find_places(frame.pixels[None], found, np.float32(0.01), np.float32(0.5), BUNDLE.weights)
    assert np.hypot(place[0, 0] - crater.x, place[0, 1] - crater.y) < 4
    assert place[0, 2] == pytest.approx(14, rel=0.25)


def test_below_the_threshold_there_is_the_middle_of_the_evidence_and_no_diameter() -> None:
    frame = simulate_frame(np.random.default_rng(3), (240, 320), (14.0,))
    for score, given in ((0.3, True), (0.005, False)):
        found = evidence_at(150, 100, score)
        place = find_places(frame.pixels[None], found, np.float32(0.01), np.float32(0.5), BUNDLE.weights)[0]
        middle = locate(found.peaks, found.positions, 240, 320, BUNDLE.weights)
        assert np.isnan(place[2])
        assert np.array_equal(place[:2], np.ravel(middle)) if given else np.isnan(place).all()


def test_without_a_ring_or_without_evidence_the_place_stays() -> None:
    found = evidence_at(150, 100, 0.9)
    flat, noise = np.full((240, 320), 90, np.uint8), np.random.default_rng(0).integers(88, 92, (240, 320), np.uint8)
    place = find_place(flat, found.peaks[0], found.positions[0], 150.0, 100.0, BUNDLE.weights)
    assert (place.x, place.y, place.diameter) == (150, 100, None)
    assert find_place(noise, found.peaks[0], found.positions[0], 150.0, 100.0, BUNDLE.weights).diameter is None
    nothing = find_place(noise, np.zeros(32, np.float32), np.zeros(32, np.int32), 7.0, 9.0, BUNDLE.weights)
    assert (nothing.x, nothing.y, nothing.diameter) == (7, 9, None)


@pytest.mark.slow
def test_a_frame_with_several_craters_lists_them_all() -> None:
    rng = np.random.default_rng(12)
    apart = 0.0
    while apart < 450:  # one place is given per tile
        frame = simulate_frame(rng, (576, 700), (16.0, 26.0))
        one, other = frame.craters
        apart = np.hypot(one.x - other.x, one.y - other.y) * (min(c.contrast_to_noise for c in frame.craters) > 10)
    scorer = Scorer(BUNDLE, "keras", BUNDLE.typical_threshold)
    scored = scorer.score(pack([(0, frame.pixels)]))
    places = scored.values["places"][0]
    assert [place["score"] for place in places] == sorted((place["score"] for place in places), reverse=True)
    assert (places[0]["x"], places[0]["y"], places[0]["score"]) == (*scored.place[0, :2], scored.score[0])
    for crater in frame.craters:
        nearest = min(np.hypot(place["x"] - crater.x, place["y"] - crater.y) for place in places)
        assert nearest <= 8 + crater.diameter_px / 2
    for i, one in enumerate(places):
        assert all(np.hypot(one["x"] - other["x"], one["y"] - other["y"]) > SAME for other in places[:i])


def test_what_two_tiles_see_is_one_place() -> None:
    places = np.array([[10, 10, 8], [30, 20, 9], [300, 10, np.nan], [600, 600, 5]], np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.2], np.float32)
    kept = distinct_places(scores, places, np.float32(0.5))
    assert kept is not None
    assert [(place["x"], place["diameter"]) for place in kept] == [(30, 9), (300, None)]
    assert distinct_places(scores[:2], places[:2], np.float32(0.5)) is None
    assert distinct_places(scores, places, np.float32(0.95)) is None


@pytest.mark.slow
@pytest.mark.parametrize("screened", [False, True])
def test_craters_that_others_look_for_are_where_the_scorer_finds_them(tmp_path: Path, screened: bool) -> None:
    """A scorer with a GPU leaves it to processors; also of screened images, and of others beside an image in tiles."""
    simulate_archive(tmp_path, images=14, craters=10, seed=5)
    Image.fromarray(np.tile(simulate_frame(np.random.default_rng(1), TILE, (20.0,)).pixels, (2, 2))).save(
        tmp_path / "large.png"
    )
    files = [*tmp_path.rglob("*.jpg"), tmp_path / "large.png"]
    _, batch = load([file.as_uri() for file in files], Access())
    threshold = 0.3
    if screened:
        assert BUNDLE.screen is not None
        threshold = BUNDLE.screen.full_threshold
    alone, with_others = (
        Scorer(BUNDLE, "keras", threshold, screened=screened, localizes=here).score(batch) for here in (True, False)
    )
    assert alone.unlocalized is None
    left = with_others.unlocalized
    assert left is not None
    assert len(left.index) >= 3
    assert np.array_equal(with_others.score, alone.score)
    place = with_others.place.copy()
    assert np.isnan(place[left.index, 2]).all()
    assert not np.array_equal(place, alone.place, equal_nan=True)
    place[left.index] = localize(batch, left, BUNDLE.weights)
    assert np.array_equal(place, alone.place, equal_nan=True)
    assert [str(several) for several in with_others.values["places"]] == [
        str(several) for several in alone.values["places"]
    ]
