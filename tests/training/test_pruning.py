"""Pruning: a network with fewer filters starts as its teacher, learns from it, and ships with all parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest

from crater_ray.engines.keras_screen import KerasScreen
from crater_ray.errors import UsageError
from crater_ray.network.bundle import STARDUST, Bundle, load
from crater_ray.network.pruning import drop_inactive, filter_counts
from crater_ray.network.stardust import FILTERS, PARAMETERS, build, read_weights
from training.data_sets.dataset import DataSet
from training.evaluation.intervals import roc_area
from training.fitting.best import load_best
from training.fitting.calibrate import calibrated_bundle
from training.fitting.fit import fit
from training.fitting.initial_weights import InitialWeights
from training.fitting.pruning import check_filters, important, start_from_teacher
from training.fitting.settings import Budget, Data, Settings
from training.fitting.teacher import Teacher
from training.network.scoring import logits, probability, to_logit
from training.network.trainable import build_trainable
from training.recipes import MATCHED
from training.retraining.added import Added, mix

pytestmark = pytest.mark.slow

FEW = (16, 16, 24, 32, 32, 48, 24, 32)


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def teacher() -> Bundle:
    """The bundle that ships."""
    return load(STARDUST)


def test_with_all_filters_it_starts_as_the_teacher(teacher: Bundle, easy: dict[str, DataSet]) -> None:
    images = easy["train"].images(range(6))[..., None]
    model = build_trainable(MATCHED, batch_norm=True)
    start_from_teacher(teacher, MATCHED, model, images, FILTERS)
    said = probability(np.asarray(model.predict_on_batch(images)["score"])[:, 0])
    assert np.allclose(said, np.asarray(teacher.model()(images))[:, 0], atol=1e-3)


def test_the_filters_that_give_most_are_kept(easy: dict[str, DataSet]) -> None:
    keras.utils.set_random_seed(0)
    weights = read_weights(build("sigma-clip"))
    weights["conv3/kernel"][..., 7] = 0  # sees nothing
    weights["conv4/kernel"][:, :, 9] = 0  # is not listened to
    kept = important(weights, "sigma-clip", easy["train"].images(range(3))[..., None], (64, 64, 62, 64, 8, 64, 32, 32))
    assert [len(one) for one in kept] == [64, 64, 62, 64, 8, 64, 32, 32]
    assert not {7, 9} & set(kept[2].tolist())
    assert all((np.diff(one) > 0).all() for one in kept)


def test_the_teacher_says_what_its_engine_says(teacher: Bundle, easy: dict[str, DataSet]) -> None:
    images = easy["train"].images(range(4))[..., None]
    said = Teacher(teacher, "float32", images).targets(images)
    answer = teacher.model(evidence=True)(images)
    assert np.allclose(said["features"].max(axis=(1, 2)), np.asarray(answer["peaks"]), atol=1e-4)
    assert np.allclose(probability(said["answers"][:, -1]), np.asarray(answer["score"]), atol=1e-4)


def test_the_teachers_screen_has_its_share(teacher: Bundle) -> None:
    assert teacher.screen is not None
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (3, 48, 64), dtype=np.uint8)
    images = np.kron(coarse, np.ones((1, 8, 8), np.uint8))[..., None]
    share = 0.4
    alone, both = (Teacher(teacher, "float32", images, one).targets(images) for one in (0.0, share))
    small = KerasScreen(teacher.screen, dtype="float32").look(images[..., 0]).scores.astype(np.float64)
    mean = alone["answers"][:, -1] + share * (to_logit(small) - alone["answers"][:, -1])
    assert np.abs(mean - alone["answers"][:, -1]).max() > 0.05
    assert np.allclose(both["answers"][:, -1], mean, atol=1e-3)
    assert not np.allclose(both["features"], alone["features"], atol=1e-3)
    crops = images[:, :104, :104]
    assert np.allclose(
        Teacher(teacher, "float32", images, share).targets(crops)["answers"],
        Teacher(teacher, "float32", images).targets(crops)["answers"],
    )
    with pytest.raises(UsageError, match="has no screen for images of 384x512"):
        Teacher(replace(teacher, screen=None), "float32", images, share)


@pytest.fixture(scope="module")
def pruned(teacher: Bundle, easy: dict[str, DataSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pruned network's fit, `fit`, and of its bundle, `bundle`."""
    folder = tmp_path_factory.mktemp("pruned")
    settings = Settings(
        "matched",
        filters=FEW,
        budget=Budget(megapixels=3.0),
        step_two_share=0.0,
        epoch_images=150,
        batches=(8, 4),
        learning_rate=1e-3,
    )
    data = Data(easy["train"], easy["validation"])
    weights = fit(settings, data, folder / "fit", InitialWeights(teacher=teacher), say=quiet)
    again = fit(settings, data, folder / "fit", InitialWeights(teacher=teacher), say=quiet)  # done: nothing is fitted
    assert all((again[name] == weights[name]).all() for name in weights)
    calibrated_bundle(folder / "fit", easy["validation"], name="pruned").save(folder / "bundle")
    return folder


def test_a_pruned_network_learns_and_ships_with_all_parameters(
    teacher: Bundle, easy: dict[str, DataSet], pruned: Path
) -> None:
    weights, made = load_best(pruned / "fit", 1), load(pruned / "bundle")
    assert sum(array.size for array in weights.values()) == PARAMETERS
    assert filter_counts(drop_inactive(weights)) == FEW
    logit = logits(weights, "sigma-clip", easy["validation"])
    assert roc_area(easy["validation"].column("label"), logit) > 0.8
    assert (made.trained["begun"], tuple(made.trained["filters"])) == (teacher.id, FEW)


def test_what_is_inactive_stays_so_in_later_fits(
    untraced: None, easy: dict[str, DataSet], pruned: Path, tmp_path: Path
) -> None:
    data = Data(easy["train"], easy["validation"])
    little = Settings("matched", budget=Budget(megapixels=0.2), step_two_share=0.0, epoch_images=16, batches=(8, 4))
    for name in ("fit", "bundle"):
        after = fit(little, data, tmp_path / f"on {name}", InitialWeights(earlier=pruned / name), say=quiet)
        assert filter_counts(drop_inactive(after)) == FEW
    whole = replace(data, whole=data.crops, whole_validation=data.validation)
    after = fit(little, whole, tmp_path / "on", InitialWeights(weights=load_best(pruned / "fit", 1)), say=quiet)
    assert filter_counts(drop_inactive(after)) == FEW
    with pytest.raises(UsageError, match="begun"):  # without the teacher it is another fit
        fit(Settings("matched", step_two_share=0.0), data, pruned / "fit")


def test_what_is_to_be_kept_is_not_forgotten_for_false_labels(
    teacher: Bundle, easy: dict[str, DataSet], tmp_path: Path
) -> None:
    """Of images that were not judged only what the network said of them counts."""
    base, judged = easy["train"].first(96), easy["validation"].first(8)
    label = pa.array(1 - base.column("label").astype(np.int8))
    false = DataSet(base.shards, base.table.set_column(0, "label", label), base.card)
    nowhere = np.full((8, 2), np.nan, np.float32)
    added = Added(judged.images(range(8)), judged.column("label"), tuple("abcdefgh"), nowhere)
    mixed, rest = mix(false, added), easy["validation"]
    data = Data(mixed, rest, mixed, rest)
    settings = Settings("matched", budget=Budget(megapixels=3.0), epoch_images=120, batches=(8, 8), learning_rate=5e-4)
    before = logits(teacher.weights, teacher.preprocessing, rest)
    moved = []
    for name, kept in (("kept", teacher), ("forgotten", None)):
        weights = fit(settings, data, tmp_path / name, InitialWeights(weights=teacher.weights), kept=kept)
        after = logits(weights, teacher.preprocessing, rest)
        moved.append(float(np.abs(after - before).mean()))
    assert moved[0] < 0.5 * moved[1]


def test_wrong_use_is_explained(teacher: Bundle, easy: dict[str, DataSet], tmp_path: Path) -> None:
    data = Data(easy["train"], easy["validation"])
    with pytest.raises(UsageError, match="--teacher"):
        fit(Settings("matched", filters=FEW), data, tmp_path)
    with pytest.raises(UsageError, match="received: original"):
        fit(Settings("original", filters=FEW), data, tmp_path, InitialWeights(teacher=teacher))
    for wrong in ((16, 16), (*FEW[:-1], 16), (65, *FEW[1:]), (0, *FEW[1:])):
        with pytest.raises(UsageError, match="--filters must be 8 numbers"):
            check_filters(wrong)
