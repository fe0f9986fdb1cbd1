"""The original's protocol: seeds and frames in all splits, going on exactly, the warning, figures of the bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.network.bundle import STARDUST, load
from tests.training.conftest import made_once
from training.data_sets.dataset import DataSet
from training.data_sets.seeds import LIBRARY_COUNT, split
from training.evaluation.evaluate import evaluate, of_bundle
from training.fitting import checkpoint
from training.fitting import fit as fitting
from training.fitting.settings import Budget, Data, Settings
from training.reproduction import reproduce as reproducing
from training.reproduction.figures import claim
from training.reproduction.images import make_images
from training.reproduction.protocol import Protocol
from training.reproduction.report import CAUTION, read_log

TINY = Protocol(
    crops=80,
    whole=24,
    crops_validation=24,
    whole_validation=8,
    test=48,
    crop_shape=(92, 92),
    shape=(92, 100),
    frames=3,
    frame_shape=(100, 120),
    epoch_images=16,
    batches=(4, 4),
    patience=1,
)


def quiet(line: str) -> None:
    """What nobody wants to read."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataSet]:
    """The images of `TINY`, of which a call without time made none."""

    def make(folder: Path) -> None:
        assert make_images(TINY, folder, workers=1, say=quiet, ends=0.0) is None
        assert not list(folder.rglob("*.tif"))
        make_images(TINY, folder, workers=1, say=quiet)

    folder = made_once(tmp_path_factory, "shared", make)
    sets = make_images(TINY, folder, workers=1, say=lambda line: pytest.fail(f"made twice: {line}"))
    assert sets is not None
    return sets


@pytest.mark.slow
def test_all_splits_have_the_same_seeds_and_frames_but_other_images(shared: dict[str, DataSet], tmp_path: Path) -> None:
    for name, part in (("crops", "train"), ("crops-validation", "validation"), ("test", "test")):
        data = shared[name]
        assert set(data.column("background")) == {f"simulated_{number:05d}.tif" for number in range(3)}
        # Not those of its split alone: so many draws come from the two other splits too.
        used = set(data.column("seed_crater")[data.column("label") == 1].tolist())
        assert used <= set(range(LIBRARY_COUNT))
        for other in {"train", "validation", "test"} - {part}:
            assert used & set(split(LIBRARY_COUNT, other, 0).tolist())
    label, diameter = shared["crops"].column("label"), shared["crops"].column("diameter_px")
    assert label.mean() == 0.5
    assert 5 <= np.nanmin(diameter) < 12
    assert 27 < np.nanmax(diameter) <= 34
    first, second = (shared[name].images(range(len(shared[name]))) for name in ("crops", "crops-validation"))
    assert not any((image == other).all() for image in first for other in second)
    with pytest.raises(
        UsageError, match="the seed craters and frames of its training"
    ):  # no other network is to be flattered
        evaluate([of_bundle(load(STARDUST))], {"test": shared["test"]}, tmp_path)


@pytest.mark.slow
def test_a_call_goes_on_with_the_very_next_batch(untraced: None, shared: dict[str, DataSet], tmp_path: Path) -> None:
    data = Data(shared["crops"], shared["crops-validation"])
    batch = 4 * 92 * 92 / 1e6

    def train(folder: Path, batches: int) -> bool:
        budget = Budget(float("inf"), batch * (batches - 0.5))
        settings = Settings("original", budget, step_two_share=0.0, epoch_images=16, batches=(4, 4), patience=9)
        return fitting.train(settings, data, folder, say=quiet)

    stored = {}
    for name, calls in (("one", (6,)), ("two", (2, 6))):
        assert not any(train(tmp_path / name, batches) for batches in calls)
        with np.load(tmp_path / name / checkpoint.FILE) as arrays:
            stored[name] = {key: arrays[key] for key in arrays.files if key != "state"}
        state = checkpoint.peek(tmp_path / name / checkpoint.FILE)
        assert state is not None
        assert (state.epoch, state.done, state.batches) == (1, 2, 6)
    assert stored["one"].keys() == stored["two"].keys()
    assert all(np.allclose(stored["one"][key], stored["two"][key], atol=2e-5) for key in stored["one"])
    logs = [[(one["images"], one["loss"]) for one in read_log(tmp_path / name / "log.csv")] for name in stored]
    assert logs[0] == [pytest.approx(one, abs=2e-3) for one in logs[1]]
    assert len(logs[0]) == 1


@pytest.mark.slow
def test_a_reproduction_ends_with_figures_of_its_bundle(
    shared: dict[str, DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network of so few batches still guesses: it counts as risen here, or no step would ever end.
    monkeypatch.setattr(fitting, "CHANCE", 0.0)
    monkeypatch.setattr(reproducing, "make_images", lambda *_, **__: shared)
    said: list[str] = []
    assert not reproducing.reproduce(TINY, tmp_path, minutes=0.0, say=said.append)
    assert said[0] == CAUTION
    assert json.loads((tmp_path / "report.json").read_text())["figures"] is None
    assert reproducing.reproduce(TINY, tmp_path, minutes=60.0, say=said.append)
    text = (tmp_path / "report.md").read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    assert text.splitlines()[0] == report["caution"] == CAUTION
    assert "flatter" in CAUTION
    assert "98.88%-99.96%" in text
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    steps = [one["step"] for one in report["epochs"]]
    assert steps == sorted(steps)
    assert set(steps) == {1, 2}

    bundle, test = load(tmp_path / "reproduction"), shared["test"]
    assert (bundle.name, bundle.preprocessing, bundle.trained["recipe"]["name"]) == (
        "reproduction",
        "minmax",
        "original",
    )
    assert CAUTION in bundle.trained["note"]
    assert bundle.trained["calibration"]["slope"] == 1.0
    score = np.asarray(bundle.model().predict_on_batch(test.images(range(len(test)))[..., None]))[:, 0]
    blank = test.column("label") == 0
    assert report["figures"]["bundle"] == bundle.id
    assert report["figures"]["specificity"]["share"] == pytest.approx((score[blank] < 0.5).mean())
    assert report["figures"]["sensitivity"]["share"] == pytest.approx((score[~blank] >= 0.5).mean())
    assert report["figures"]["blanks_at_0.01"]["share"] == pytest.approx((score[blank] >= 0.01).mean())
    for bias, specificity in ((30.0, 0.0), (-30.0, 1.0)):
        weights = {**bundle.weights, "dense7/bias": np.full(1, bias, np.float32)}
        replace(bundle, weights=weights).save(tmp_path / "other")
        figures = claim(tmp_path / "other", test)
        assert figures["specificity"]["share"] == figures["blanks_at_0.01"]["share"] * -1 + 1 == specificity
        assert figures["sensitivity"]["share"] == 1.0 - specificity
    with pytest.raises(UsageError, match="another protocol"):
        reproducing.reproduce(replace(TINY, seed=7), tmp_path, minutes=0.0, say=quiet)
