"""The dense layers alone: their gradient, what they learn from a few images, and that they never end worse."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.network.bundle import STARDUST, load
from crater_ray.network.stardust import Weights
from tests.made_runs import ODD_KEYS
from training.data_sets.dataset import COLUMNS, DataSet
from training.data_sets.sample import table_row
from training.network.scoring import dense_logits
from training.retraining.added import JUDGED_DIAMETER, Added, mix, read_added
from training.retraining.dense_layers import (
    LAYERS,
    DenseSettings,
    PooledFeatures,
    fit_dense_layers,
    gradient,
    held_out_loss,
)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return load(STARDUST).weights


def pool(weights: Weights, images: int, seed: int, turned: bool = False) -> PooledFeatures:
    """Features for which the network is right about the label, or, `turned`, of a kind that it takes for the other."""
    rng = np.random.default_rng(seed)
    peaks = rng.gamma(2.0, 0.4, (images, 32))
    logit = dense_logits(weights, peaks)
    label = (logit > np.median(logit)).astype(np.float64)
    if turned:
        peaks[:, 5] = 0.0  # what this kind has in common, so that it can be told apart
        label = np.zeros(images)
    else:
        peaks[:, 5] += 3.0
    return PooledFeatures(peaks, label)


def test_the_gradient_is_that_of_the_loss(weights: Weights) -> None:
    batch = pool(weights, 12, 1)
    exact = {name: value.astype(np.float64) for name, value in weights.items() if name.startswith("dense")}
    slopes = gradient(exact, batch)

    def loss() -> float:
        logit = dense_logits(exact, batch.peaks)
        return float(np.mean(np.logaddexp(0, logit) - batch.label * logit))

    for name in LAYERS:
        for part in ("kernel", "bias"):
            value = exact[f"{name}/{part}"]
            place = np.unravel_index(np.abs(slopes[f"{name}/{part}"]).argmax(), value.shape)
            kept = value[place]
            value[place] = kept + 1e-5
            above = loss()
            value[place] = kept - 1e-5
            below = loss()
            value[place] = kept
            assert slopes[f"{name}/{part}"][place] == pytest.approx((above - below) / 2e-5, rel=1e-2, abs=1e-6)


def test_a_kind_of_mistake_is_unlearnt_without_forgetting_the_rest(weights: Weights) -> None:
    train = (pool(weights, 120, 2), pool(weights, 40, 3, turned=True))
    held = (pool(weights, 120, 4), pool(weights, 40, 5, turned=True))
    kept = {name: value.copy() for name, value in weights.items()}
    after, start, least = fit_dense_layers(weights, train, held, DenseSettings(steps=400))
    assert least < 0.7 * start
    assert held_out_loss(after, held) == pytest.approx(least, rel=1e-4)
    assert all(np.array_equal(weights[name], kept[name]) for name in kept)
    assert all(after[name] is weights[name] for name in weights if name.startswith("conv"))
    again, *_ = fit_dense_layers(weights, train, held, DenseSettings(steps=400))
    assert all(np.array_equal(again[name], after[name]) for name in after)


def test_it_never_ends_worse_than_it_began(weights: Weights) -> None:
    ordinary = pool(weights, 60, 6)
    contrary = PooledFeatures(ordinary.peaks, 1 - ordinary.label)
    after, start, least = fit_dense_layers(
        weights, (contrary,), (ordinary,), DenseSettings(steps=100, learning_rate=1e-2)
    )
    assert least == start == held_out_loss(weights, (ordinary,))
    assert all(np.array_equal(after[name], weights[name]) for name in weights)


def test_a_quarter_of_each_label_is_held_out_whatever_the_order() -> None:
    keys = tuple(f"k{number}" for number in range(24))
    places = np.arange(48, dtype=np.float32).reshape(24, 2)
    added = Added(np.arange(24, dtype=np.uint8)[:, None, None], np.array([0] * 16 + [1] * 8), keys, places)
    learnt, held = added.split()
    assert (len(held.label), int(held.label.sum())) == (6, 2)
    assert sorted(learnt.keys + held.keys) == sorted(keys)
    assert [keys[number] for number in held.pixels.ravel()] == list(held.keys)
    assert held.places[:, 0].tolist() == [2 * number for number in held.pixels.ravel()]
    turned = added.take(np.arange(24)[::-1]).split()[1]
    assert set(turned.keys) == set(held.keys)
    few = added.take(np.array([0, 1, 16]))
    assert few.split() == (few, few)


def test_images_are_cut_around_what_was_judged(tmp_path: Path) -> None:
    pixels = np.zeros((200, 300), np.uint8)
    pixels[30, 280] = 255
    pixels[100, 150] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text("key,verdict,x,y\na,crater,280,30\na,blank,,\n")
    added = read_added(tmp_path, verdicts, (104, 104))
    assert [int(one.max()) for one in added.pixels] == [255, 200]
    assert np.argwhere(added.pixels[0] == 255).tolist() == [[30, 84]]
    assert np.argwhere(added.pixels[1] == 200).tolist() == [[52, 52]]
    assert added.places[0].tolist() == [84, 30]
    assert np.isnan(added.places[1]).all()
    row = table_row(0, source="made", background="none", quality=0)
    table = pa.Table.from_pylist([row], schema=pa.schema(list(COLUMNS.items())))
    ordinary = DataSet((added.pixels[1:],), table, {"digest": "some", "split": "train"})
    mixed = mix(ordinary, added)  # one ordinary image, and each that was judged once
    assert [found.tolist() for found in mixed.craters] == [[], [[84, 30, JUDGED_DIAMETER, 1]], []]
    verdicts.write_text("key,verdict,x,y\na,crater,left,30\n")
    with pytest.raises(UsageError, match="two numbers"):
        read_added(tmp_path, verdicts, (104, 104))


def test_odd_keys_are_found_and_none_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "images"
    inside = [key for key in ODD_KEYS if ".." not in key]
    assert len(inside) == len(ODD_KEYS) - 1
    for number, key in enumerate(inside):
        path = folder / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((104, 104), number, np.uint8)).save(path)
    verdicts = tmp_path / "verdicts.csv"

    def say(keys: list[str]) -> Added:
        with verdicts.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("key", "verdict"), *((key, "blank") for key in keys)])
        return read_added(folder, verdicts, (104, 104))

    assert say(inside).pixels[:, 0, 0].tolist() == list(range(len(inside)))
    Image.fromarray(np.zeros((104, 104), np.uint8)).save(tmp_path / "outside.png")
    for key in ("../../outside", str(tmp_path / "outside")):
        with pytest.raises(UsageError, match="leads out of"):
            say([key])
