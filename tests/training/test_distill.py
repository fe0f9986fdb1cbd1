"""Distilling a screen from a network: what it learns, its threshold, and the bundle that it becomes part of."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from crater_ray.engines.keras_screen import KerasScreen, build_screen
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import BORDER, CONVOLUTIONS, STEP, Screen, shapes
from training.__main__ import app
from training.data_sets.augmentation import augment
from training.distillation import distill as distilling
from training.distillation.answers import MARGIN, Answered, ask_teacher, exact, feature_map, open_images
from training.distillation.batches import LEAST_WEIGHT, AugmentedBatches, sampling_weights
from training.distillation.screen_threshold import Promise, tail_quantile, weigh
from training.distillation.screen_weights import LEAST_UNIT, fold_screen, screen_feature_map, units
from training.distillation.student import build_distillation

pytestmark = pytest.mark.slow

SHAPE = (108, 124)


def write_images(folder: Path, count: int, seed: int) -> Path:
    """Noise of differing strength, every fourth one with a bright square and said to hold a crater."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = []
    for number in range(count):
        pixels = rng.normal(110, 8, SHAPE)
        if number % 4 == 0:
            y, x = rng.integers(30, 70, 2)
            pixels[y : y + 9, x : x + 9] += 90
        key = f"fm_{number}_{seed}"
        (folder / key).mkdir()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / key / f"{key}-001.png")
        rows.append((key, int(number % 4 == 0)))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("key", "label"), *rows])
    return folder


@pytest.fixture(scope="module", autouse=True)
def _fewer_measured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "SAMPLE", 96)
        patch.setattr(distilling, "WARM_UP", 40)
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, untrained: Path) -> tuple[Bundle, Answered, Answered]:
    """An untrained network whose answers spread, with a threshold at their upper quarter; examples; held-out images."""
    folder = tmp_path_factory.mktemp("distilling")
    bundle = bundles.load(untrained)
    examples, held_out = (
        open_images(write_images(folder / f"images{seed}", count, seed), SHAPE) for seed, count in ((1, 48), (2, 32))
    )
    before = ask_teacher(bundle, examples, folder / "work", "float32").logit
    weights = dict(bundle.weights)
    spread = 2.0 / before.std()
    weights["dense7/kernel"] = weights["dense7/kernel"] * np.float32(spread)
    weights["dense7/bias"] = (weights["dense7/bias"] - before.mean()) * np.float32(spread)
    bundle = replace(bundle, weights=weights, typical_threshold=0.7)
    return bundle, *(ask_teacher(bundle, data, folder / "work", "float32") for data in (examples, held_out))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def learnt(full: tuple[Bundle, Answered, Answered]) -> Screen:
    """A fresh screen that has learnt from the examples."""
    bundle, examples, held_out = full
    return distilling.distill(bundle, [examples], [held_out], distilling.Settings(60, images=800), lambda _: None)


def test_teacher_answers_as_the_network_does_and_is_asked_once(
    full: tuple[Bundle, Answered, Answered], tmp_path: Path
) -> None:
    bundle, examples, _ = full
    answered = ask_teacher(bundle, examples.data.first(5), tmp_path, "float32")
    images = examples.data.images(np.arange(5))[..., None]
    score = np.asarray(bundle.model()(images))[:, 0]
    assert np.allclose(1 / (1 + np.exp(-answered.logit)), score, atol=5e-3)
    (kept,) = tmp_path.iterdir()
    stored = np.load(kept)
    np.save(kept, np.zeros_like(stored))
    assert not ask_teacher(bundle, examples.data.first(5), tmp_path, "float32").logit.any()
    assert sorted(set(examples.data.column("label").tolist())) == [0, 1]


def test_answers_near_the_threshold_are_exact(full: tuple[Bundle, Answered, Answered]) -> None:
    bundle, examples, _ = full
    cut = np.log(0.7 / 0.3)
    rng = np.random.default_rng(3)
    rough = examples.logit + rng.uniform(-0.1, 0.1, len(examples))
    rough[:4] = cut + 0.1
    found = exact(bundle, Answered(examples.data, rough)).logit
    near = np.abs(rough - cut) < MARGIN
    assert near[:4].all() and not near.all()
    assert np.allclose(found[near], examples.logit[near], atol=5e-3)
    assert (found[~near] == rough[~near]).all()


def test_images_near_the_threshold_are_drawn_more_often() -> None:
    chance = sampling_weights(np.array([-6.0, 0.0, np.log(0.7 / 0.3), 1.5, 9.0]), 0.7)
    assert chance.argmax() == 2 and chance[0] == pytest.approx(LEAST_WEIGHT, abs=0.01)
    assert (chance > 0.09).all()


def test_views_are_other_images_and_the_same_again_with_the_same_seed(full: tuple[Bundle, Answered, Answered]) -> None:
    bundle, examples, _ = full
    views = iter(AugmentedBatches(bundle, [examples], 4, 0))
    first, second = next(views), next(views)
    images = examples.data.images(np.arange(len(examples)))
    known = {image.tobytes() for image in images}
    assert not any(image.tobytes() in known for image in np.concatenate([first, second]))
    again = iter(AugmentedBatches(bundle, [examples], 4, 0))
    assert np.array_equal(next(again), first) and np.array_equal(next(again), second)
    assert not np.array_equal(next(iter(AugmentedBatches(bundle, [examples], 4, 1))), first)
    turned = augment(np.random.default_rng(1), np.repeat(images[:1], 12, axis=0))
    assert len({image.tobytes() for image in turned}) == 12
    assert all(np.ptp(image) >= 0.8 * np.ptp(images[0]) for image in turned)


def test_loss_is_what_the_screen_says_otherwise_than_the_network(
    full: tuple[Bundle, Answered, Answered],
) -> None:
    bundle, examples, _ = full
    screen = build_screen(trainable=True)
    scale = np.linspace(0.5, 2.0, 32).astype(np.float32)
    distillation = build_distillation(bundle, screen, scale, SHAPE, "float32", 1e-3)
    images = examples.data.images(np.arange(len(examples)))[..., None]
    costs = np.asarray(distillation(images))
    said, drawn = (np.asarray(each) for each in screen(images))
    wanted = np.asarray(feature_map(bundle, "float32")(images))[:, : drawn.shape[1], : drawn.shape[2]] / scale
    cut, logit = np.log(0.7 / 0.3), examples.logit
    assert np.allclose(costs[:, 0], np.mean((drawn - wanted) ** 2 * (1 + wanted), axis=(1, 2, 3)), rtol=1e-3)
    near = np.exp(-np.abs(logit - cut) / 2) + 0.1
    assert np.allclose(costs[:, 1], near * (np.sqrt(1 + (said[:, 0] - logit) ** 2) - 1), rtol=2e-2, atol=1e-3)
    short = np.where(logit >= cut, np.maximum(cut - said[:, 0], 0), 0)
    assert short.any() and np.allclose(costs[:, 2], 0.5 * short**2, rtol=1e-2)
    before = np.asarray(screen.get_layer("conv1").kernel).copy()
    distillation.train_on_batch(images, np.ones((len(images), 3), np.float32))
    assert not np.array_equal(np.asarray(screen.get_layer("conv1").kernel), before)
    assert {id(one) for one in distillation.trainable_variables} == {id(one) for one in screen.trainable_variables}


def test_screen_learns_and_keeps_the_candidates(
    full: tuple[Bundle, Answered, Answered], learnt: Screen, tmp_path: Path
) -> None:
    (bundle, _, held_out), screen = full, learnt
    assert screen.size == SHAPE and screen.bundle == bundle.id and screen.full_threshold == 0.7
    assert {name: array.shape for name, array in screen.weights.items()} == shapes()
    ways = screen.figures["ways"]
    assert "keras, float32" in ways
    for way in ways.values():
        assert way["kept_share"] == 1.0
        assert 0.0 < way["pass_share"] <= 1.0
    images = held_out.data.images(np.arange(len(held_out)))
    seen = KerasScreen(screen, dtype="float32").look(images)
    candidate = 1 / (1 + np.exp(-held_out.logit)) >= 0.7
    assert seen.passed[candidate].all() and (seen.passed == (seen.scores >= np.float32(screen.threshold))).all()
    assert np.corrcoef(np.log(seen.scores / (1 - seen.scores)), held_out.logit)[0, 1] > 0.5
    again = bundles.load(replace(bundle, screen=screen).save(tmp_path / "bundle"))
    assert again.screen is not None and again.screen.id == screen.id


def test_screen_goes_on_from_another(untraced: None, full: tuple[Bundle, Answered, Answered]) -> None:
    from tests.made_screens import make_screen

    bundle, examples, held_out = full
    start = make_screen("another network", size=SHAPE)
    screen = distilling.distill(
        bundle, [examples], [held_out], distilling.Settings(60, images=8), lambda _: None, start
    )
    assert screen.bundle == bundle.id and screen.made["start"]["id"] == start.id
    images = held_out.data.images(np.arange(8))
    before, after = (KerasScreen(one, dtype="float32").look(images).scores for one in (start, screen))
    assert np.ptp(before) > 1e-3
    assert np.allclose(before, after, atol=0.02)  # it took one small step


def test_a_screen_that_settles_is_at_once_what_it_was(untraced: None, full: tuple[Bundle, Answered, Answered]) -> None:
    from tests.made_screens import make_screen

    bundle, examples, _ = full
    start = make_screen(bundle.id, size=SHAPE)
    images = examples.data.images(np.arange(16))
    before, after = (KerasScreen(one, dtype="float32").look(images).scores for one in (start, _settled(full, 1e-12)))
    assert np.ptp(before) > 1e-3 and np.allclose(before, after, atol=1e-4)
    moved = KerasScreen(_settled(full, 1e-2), dtype="float32").look(images).scores
    assert not np.allclose(before, moved, atol=1e-3)


def _settled(full: tuple[Bundle, Answered, Answered], rate: float) -> Screen:
    from tests.made_screens import make_screen

    bundle, examples, _ = full
    settings = distilling.Settings(60, images=24, rate=rate, settle=True)
    return distilling.distill(bundle, [examples], [], settings, lambda _: None, make_screen(bundle.id, size=SHAPE))


def test_thresholds_alone_are_set_anew(full: tuple[Bundle, Answered, Answered]) -> None:
    from tests.made_screens import make_screen

    bundle, examples, held_out = full
    start = make_screen(bundle.id, size=SHAPE, threshold=0.1)
    # An untrained screen's scores lie close together: only if half of the candidates may be lost are images left out.
    asked = distilling.Settings(images=0, promise=Promise(0.5))
    screen = distilling.distill(bundle, [examples], [held_out], asked, lambda _: None, start)
    images = held_out.data.images(np.arange(len(held_out)))
    before, after = (KerasScreen(one, dtype="float32").look(images) for one in (start, screen))
    assert np.allclose(before.scores, after.scores, atol=1e-4)
    assert screen.threshold > 0.1 and before.passed.sum() > after.passed.sum()


def test_folded_screen_is_the_trained_one(full: tuple[Bundle, Answered, Answered]) -> None:
    import keras

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    model = build_screen(trainable=True)
    for number in range(1, len(CONVOLUTIONS) + 1):
        norm = model.get_layer(f"norm{number}")
        for variable, low, high in ((norm.gamma, -1, 2), (norm.beta, -1, 1), (norm.moving_mean, -1, 1)):
            variable.assign(rng.uniform(low, high, variable.shape))
        norm.moving_variance.assign(rng.uniform(0.5, 2, norm.moving_variance.shape))
    images = full[1].data.images([0, 1, 2])[..., None]
    expected = np.asarray(model(images, training=False)[0])
    folded = np.asarray(build_screen(fold_screen(model))(images))
    assert np.allclose(folded, expected, atol=1e-3 * np.abs(expected).max())


def test_features_are_in_the_full_networks_units(full: tuple[Bundle, Answered, Answered], learnt: Screen) -> None:
    bundle, examples, _ = full
    features = screen_feature_map(build_screen(learnt.weights))
    images = AugmentedBatches(bundle, [examples], distilling.SAMPLE, 0).make(0)[..., None]
    drawn, wanted = (model.predict(images, 16, verbose=0) for model in (features, feature_map(bundle, "float32")))
    found = units(drawn, wanted)
    both = found > 2 * LEAST_UNIT  # the others are never seen where the network sees the same
    assert both.sum() > 10 and np.allclose(found[both], 1.0, atol=0.01)


def test_sizes_that_cannot_be_halved_are_refused(full: tuple[Bundle, Answered, Answered], tmp_path: Path) -> None:
    bundle, _, held_out = full
    odd = open_images(_resized(held_out, tmp_path / "odd", (108, 126)), (108, 126))
    answered = ask_teacher(bundle, odd, tmp_path / "work", "float32")
    with pytest.raises(UsageError, match="multiple of 4 px each way; the first are 108x126"):
        distilling.distill(bundle, [answered], [answered], distilling.Settings(60, images=8), lambda _: None)


def _resized(answered: Answered, folder: Path, shape: tuple[int, int]) -> Path:
    for number, pixels in enumerate(answered.data.images(np.arange(4))):
        (folder / f"fm_{number}").mkdir(parents=True)
        Image.fromarray(pixels).resize(shape[::-1]).save(folder / f"fm_{number}" / f"fm_{number}-001.png")
    return folder


def test_map_has_the_positions_of_the_full_network() -> None:
    from crater_ray.network.stardust import STRIDE, TILE, feature_size

    assert STEP == STRIDE
    assert [length // STRIDE - sum(BORDER) for length in TILE] == [feature_size(length) for length in TILE]


def test_threshold_goes_beyond_the_lowest_of_few_candidates() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        values = rng.exponential(1.0, 200)
        assert tail_quantile(values, np.ones(200), 0.001) <= values.min()
    many = rng.normal(0, 1, 20_000)
    assert tail_quantile(many, np.ones(20_000), 0.001) == pytest.approx(np.quantile(many, 0.001), abs=0.02)
    few = [tail_quantile(rng.logistic(0, 1, 300), np.ones(300), 0.001) for _ in range(100)]
    truth = np.log(0.001 / 0.999)
    assert np.median(few) == pytest.approx(truth, abs=1.5)


def test_many_values_of_little_weight_do_not_shorten_the_tail() -> None:
    rng = np.random.default_rng(5)
    heavy, light = rng.normal(0, 1, 300), rng.normal(20, 1, 20_000)
    values = np.concatenate([heavy, light])
    weight = np.concatenate([np.ones(300), np.full(20_000, 1e-3)])
    assert tail_quantile(values, weight, 0.001) < heavy.min()


def test_weights_make_craters_rare() -> None:
    label = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    weight = weigh(label, 0.02)
    assert weight[label == 1].sum() / weight.sum() == pytest.approx(0.02)
    assert (weigh(np.array([1, 0, -1]), 0.02) == 1).all()


def test_held_out_images_without_candidates_are_refused(full: tuple[Bundle, Answered, Answered]) -> None:
    from tests.made_screens import make_screen

    bundle, examples, held_out = full
    hopeless = Answered(held_out.data, np.full(len(held_out), -9.0))
    asked = distilling.Settings(images=0, promise=Promise(0.9))
    with pytest.raises(UsageError, match="no candidate"):
        distilling.distill(bundle, [examples], [hopeless], asked, lambda _: None, make_screen(bundle.id, size=SHAPE))


def test_command_refuses_images_of_another_size(full: tuple[Bundle, Answered, Answered], tmp_path: Path) -> None:
    folder = full[0].save(tmp_path / "bundle")
    images = write_images(tmp_path / "images", 2, 5)
    result = CliRunner().invoke(
        app, ["distill", str(folder), "--data", str(images), "--validation", str(images), "--work", str(tmp_path / "w")]
    )
    assert isinstance(result.exception, UsageError)
    assert "384x512" in str(result.exception)


def test_command_that_would_learn_nothing_is_refused(full: tuple[Bundle, Answered, Answered], tmp_path: Path) -> None:
    folder = full[0].save(tmp_path / "bundle")
    images = str(tmp_path / "images")
    result = CliRunner().invoke(app, ["distill", str(folder), "--data", images, "--validation", images, "--see", "0"])
    assert isinstance(result.exception, UsageError)
    assert "give --start" in str(result.exception)
