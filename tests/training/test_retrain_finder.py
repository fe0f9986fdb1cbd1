"""Retraining the finder: it unlearns a kind of mark that people rejected, and keeps its craters."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest

from crater_ray.errors import UsageError
from crater_ray.network.bundle import FINDER, load
from crater_ray.simulate import simulate_frame
from training.data_sets.dataset import COLUMNS, DataSet
from training.data_sets.sample import table_row
from training.finder.export import uncalibrated
from training.fitting.settings import Budget, Settings
from training.network.scoring import bundle_logits, probability
from training.retraining.added import Added, as_data_set
from training.retraining.centres import place_verdicts
from training.retraining.retrain import RetrainSettings, Sets
from training.retraining.retrain_finder import retrain_finder

pytestmark = pytest.mark.slow
SHAPE = (112, 128)


def frames(seed: int, count: int, split: str) -> DataSet:
    """Simulated foil, every other image with one clear crater."""
    pixels, rows = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        frame = simulate_frame(rng, SHAPE, (18.0,) if number % 2 else ())
        row = table_row(number % 2, source="simulated", background=str(number), quality=90)
        if frame.craters:
            crater = frame.craters[0]
            row |= {"x": crater.x, "y": crater.y, "diameter_px": crater.diameter_px, "contrast_to_noise": 20.0}
        pixels.append(frame.pixels)
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))
    return DataSet((np.stack(pixels),), table, {"digest": str(seed), "split": split})


def marked(count: int, seed: int) -> Added:
    """Blanks with a mark that nearly is a crater, and craters, of which half have a place."""
    craters = frames(seed, 2 * count, "added")
    pixels, labels, places = [], [], []
    for number in range(2 * count):
        image = craters.shards[0][number].copy()
        place = (np.nan, np.nan)
        if number % 2 == 0:  # a cross of two thin strokes in a ring
            cv2.circle(image, (80, 70), 9, 20, -1, cv2.LINE_AA)
            cv2.circle(image, (80, 70), 9, 230, 2, cv2.LINE_AA)
            cv2.line(image, (72, 70), (88, 70), 230, 1, cv2.LINE_AA)
            cv2.line(image, (80, 62), (80, 78), 230, 1, cv2.LINE_AA)
            image = cv2.GaussianBlur(image, (0, 0), 0.8)
        elif number % 4 == 1:
            place = tuple(craters.craters[number][0, :2])
        pixels.append(image)
        labels.append(number % 2)
        places.append(place)
    keys = tuple(f"judged-{number}" for number in range(2 * count))
    return Added(np.stack(pixels), np.asarray(labels), keys, np.asarray(places, np.float32))


def test_rejected_marks_are_unlearnt_and_craters_kept() -> None:
    bundle = load(FINDER)
    sets = Sets(frames(1, 40, "train"), frames(2, 24, "validation"), frames(3, 40, "test"))
    settings = RetrainSettings(Settings("finder", Budget(minutes=30, megapixels=10)))
    taken = marked(12, 60)  # which it never meets
    (before,) = bundle_logits(bundle, as_data_set(taken))
    assert (probability(before[taken.label == 0]) >= bundle.typical_threshold).mean() > 0.7
    after, found = retrain_finder(bundle, marked(16, 50), sets, settings, say=lambda _: None)
    assert found["better"]
    assert after.id != bundle.id
    assert after.gives_maps
    assert set(after.weights) == set(bundle.weights)
    assert after.trained["retrained"]["from"] == bundle.id
    moved = bundle_logits(after, as_data_set(taken))[0] - before
    crater = taken.label == 1
    assert moved[~crater].mean() < moved[crater].mean() - 0.5
    assert moved[crater].mean() > -0.5


def test_a_verdict_without_a_place_gets_the_networks_own() -> None:
    bundle, added = load(FINDER), marked(4, 50)
    judged = place_verdicts(uncalibrated(bundle), added)
    truth = frames(50, 8, "added").craters
    for number, (craters, label) in enumerate(zip(judged.craters, added.label, strict=True)):
        assert len(craters) == label
        if label:
            x, y, diameter = craters[0]
            assert np.hypot(x - truth[number][0, 0], y - truth[number][0, 1]) < 5
            assert 9 < diameter < 36


def test_a_finder_has_no_dense_layers() -> None:
    sets = Sets(frames(1, 2, "train"), frames(2, 2, "validation"), frames(3, 2, "test"))
    with pytest.raises(UsageError, match="no dense layers"):
        retrain_finder(load(FINDER), marked(1, 50), sets, RetrainSettings(Settings("finder"), layers="dense"))
