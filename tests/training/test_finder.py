"""Fitting the finder: it goes on where it was stopped, from a bundle, with mined blanks; what ships was fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from crater_ray.network import finder
from crater_ray.network.bundle import Bundle, load
from training.__main__ import app
from training.finder.begin import begin_from
from training.finder.export import Scale, calibrated, compared, folded_weights, uncalibrated
from training.finder.fit import Settings, fit
from training.finder.mine import Mining, mine
from training.finder.normalization import FusedNormalization
from training.finder.sources import Order, collect
from training.finder.stream import Batches, stream
from training.finder.widen import widened

NARROW = (4, 8, 16, 16)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finder")
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(90, 130, (120, 140), np.uint8)
        Image.fromarray(pixels).save(folder / f"metal_{number}.png")
    order = Order([str(folder)], simulated=1, seed_craters=2)
    assert collect(order, folder / "sources", workers=1) == {"train": 2, "foil": 1, "test": 1, "unseen": 0}
    batches = Batches(folder / "sources", size=64, images=4, workers=1)
    for steps in (2, 4):  # the second call goes on from the first
        fit(Settings(batches, steps=steps, widths=NARROW, dtype="float32"), folder / "fit")
    return folder / "fit"


def test_a_stopped_fit_goes_on(fitted: Path) -> None:
    assert '"step": 4' in (fitted / "state.json").read_text(encoding="utf-8")


def test_folded_weights_answer_as_the_fitted_network(fitted: Path) -> None:
    model = finder.build(NARROW, normalization=FusedNormalization)
    with np.load(fitted / "state.npz") as stored:
        for number, variable in enumerate(model.weights):
            variable.assign(stored[f"s{number}"])
    images = np.random.default_rng(2).integers(0, 255, (2, 64, 96, 1), np.uint8)
    weights = folded_weights(fitted)
    maps = np.asarray(finder.model_of(weights)(images, training=False)["maps"])
    np.testing.assert_allclose(maps, np.asarray(model(images, training=False)["maps"]), atol=2e-4)
    shifted = np.asarray(finder.model_of(calibrated(weights, Scale(2.0, -1.0)))(images, training=False)["maps"])
    np.testing.assert_allclose(shifted[..., 0], 2 * maps[..., 0] - 1, atol=1e-3)
    np.testing.assert_allclose(shifted[..., 1:], maps[..., 1:], atol=1e-5)
    knee = float(np.median(shifted[..., 0]))
    bent = np.asarray(finder.model_of(calibrated(weights, Scale(2.0, -1.0, knee, 3.0)))(images, training=False)["maps"])
    expected = shifted[..., 0] + 3 * np.maximum(shifted[..., 0] - knee, 0)
    np.testing.assert_allclose(bent[..., 0], expected, atol=1e-3)
    np.testing.assert_allclose(bent[..., 1:], shifted[..., 1:], atol=1e-5)


def test_a_fit_begins_where_a_bundle_is(fitted: Path) -> None:
    """Calibration is taken back, and the normalisation that is put between changes nothing."""
    weights = folded_weights(fitted)
    line = {"slope": 1.5, "offset": -7.0}
    folded = {**weights, "maps/kernel": weights["maps/kernel"].copy(), "maps/bias": weights["maps/bias"].copy()}
    folded["maps/kernel"][..., 0] *= line["slope"]
    folded["maps/bias"][0] = folded["maps/bias"][0] * line["slope"] + line["offset"]
    older = Bundle(folded, "local-contrast", 0.5, {"calibration": line}, architecture="finder-1")
    scored = calibrated(compared(weights, 0.5), Scale(1.5, -7.0, -3.0, 2.0))
    model = finder.build(NARROW, normalization=FusedNormalization)
    images = np.random.default_rng(3).integers(0, 255, (4, 64, 64, 1), np.uint8)
    maps = np.asarray(finder.model_of(weights)(images, training=False)["maps"])
    for bundle in (older, replace(older, weights=scored)):
        begin_from(bundle, model, [images])
        np.testing.assert_allclose(np.asarray(model(images, training=False)["maps"]), maps, atol=2e-3)
        # As in training: the batch's own mean and variance are those that were put in.
        np.testing.assert_allclose(np.asarray(model(images, training=True)["maps"]), maps, atol=2e-2)


def test_a_wider_finder_begins_with_the_answers_of_a_narrower_one(
    fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, wider = folded_weights(fitted), (5, 8, 20, 33)
    images = np.random.default_rng(5).integers(0, 255, (2, 64, 96, 1), np.uint8)
    maps = np.asarray(finder.model_of(weights)(images, training=False)["maps"])
    apart = widened(weights, wider)
    assert finder.widths_of(apart) == wider
    kernel = apart["sixteenth1/kernel"]
    assert len(np.unique(kernel.reshape(-1, 33), axis=1).T) == 33, "two channels would learn the same for ever"
    monkeypatch.setattr("training.finder.widen.APART", 0.0)
    np.testing.assert_allclose(
        np.asarray(finder.model_of(widened(weights, wider))(images, training=False)["maps"]), maps, atol=1e-4
    )
    with pytest.raises(ValueError, match="cannot be made one of"):
        widened(weights, (4, 8, 15, 16))


def test_wrong_widths_are_named(fitted: Path) -> None:
    words = ["finder-fit", str(fitted.parent / "wide"), "--sources", str(fitted.parent / "sources")]
    for given in ("16,32", "16,32,64,x", "16,32,0,64"):
        answer = CliRunner().invoke(app, [*words, "--widths", given])
        assert answer.exit_code
        assert repr(given) in str(answer.exception)


def test_a_wrong_precision_is_named(fitted: Path) -> None:
    words = ["finder-fit", str(fitted.parent / "half"), "--sources", str(fitted.parent / "sources")]
    answer = CliRunner().invoke(app, [*words, "--precision", "half"])
    assert "--precision must be auto or one of" in str(answer.exception)
    assert not (fitted.parent / "half").exists()


def test_a_centre_is_compared_with_all_of_its_image(fitted: Path) -> None:
    weights = folded_weights(fitted)
    images = np.random.default_rng(4).integers(0, 255, (3, 64, 96, 1), np.uint8)
    plain = np.asarray(finder.model_of(weights)(images, training=False)["maps"])[..., 0]
    odds = np.exp(np.minimum(plain, 0)).mean(axis=(1, 2), keepdims=True)
    bundle = Bundle(calibrated(compared(weights, 0.4), Scale(1.0, -2.0)), "local-contrast", 0.5)
    maps = np.asarray(finder.model_of(uncalibrated(bundle))(images, training=False)["maps"])
    np.testing.assert_allclose(maps[..., 0], plain - 0.4 * np.log(odds), atol=1e-3)


def test_the_worst_blanks_are_mined_and_shown_again(fitted: Path) -> None:
    batches = Batches(fitted.parent / "sources", seed=5, size=64, images=4, workers=1)
    weights, out = folded_weights(fitted), fitted.parent / "mined.npz"
    logits = mine(Mining(batches, blanks=24, keep=6), weights, out)
    with np.load(out) as stored:
        images, kept = stored["images"], stored["logit"]
    np.testing.assert_array_equal(kept, np.sort(logits)[::-1][:6])
    maps = np.asarray(finder.model_of(weights)(images[..., None], training=False)["maps"])
    np.testing.assert_allclose(maps[..., 0].max(axis=(1, 2)), kept, atol=1e-3)
    shown = stream(Batches(fitted.parent / "sources", size=64, images=4, workers=1, mined=out, mined_images=3))
    drawn, targets = next(shown)
    shown.close()
    turned = {np.rot90(image, turn)[:, ::flip].tobytes() for image in images for turn in range(4) for flip in (1, -1)}
    assert [image.tobytes() in turned for image in drawn[..., 0]] == [False, True, True, True]
    assert not targets[1:, ..., 0].any()
    assert (targets[1:, ..., 1] == 1).all()


def test_a_bundle_is_calibrated_anew(fitted: Path, tmp_path: Path) -> None:
    weights = calibrated(compared(folded_weights(fitted), 0.4), Scale(1.0, -2.0))
    before = Bundle(weights, "local-contrast", 0.5, {"seed": 5}, architecture="finder-1").save(tmp_path / "before")
    words = ["finder-bundle", str(before), str(tmp_path / "after"), "--sources", str(fitted.parent / "sources")]
    answer = CliRunner().invoke(app, [*words, "--images", "4", "--odds", "50"])
    assert answer.exit_code == 0, answer.output
    after = load(str(tmp_path / "after"))
    assert after.weights[finder.VIEW] == 0
    kept = [name for name in weights if name not in finder.SETTINGS]
    assert all(np.array_equal(after.weights[name], weights[name]) for name in kept)
    assert after.weights[finder.SCORE][0] == np.float32(0.4)
    assert not np.array_equal(after.weights[finder.SCORE], weights[finder.SCORE])
    assert (after.trained["seed"], after.trained["calibration"]["one_in"]) == (5, 50)
    assert after.figures["calibration_set"]["images"] == 4 + 64
    assert after.figures["calibration_set"]["false_alarms_at_typical_threshold"] == pytest.approx(0.04, abs=0.02)
