"""Fitting: learns, resumes where it was killed, keeps its best, and says what is wrong with its input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest

from crater_ray.errors import UsageError
from crater_ray.network import bundle
from training.__main__ import main
from training.data_sets.dataset import DataSet
from training.data_sets.synthesize import Order, synthesize
from training.evaluation.intervals import roc_area
from training.fitting import checkpoint
from training.fitting.best import load_best
from training.fitting.calibrate import calibrated_bundle
from training.fitting.fit import fit
from training.fitting.initial_weights import InitialWeights
from training.fitting.settings import Budget, Data, Settings
from training.fitting.validation import write_log
from training.network.scoring import logits

pytestmark = pytest.mark.slow


def clear(data: DataSet) -> DataSet:
    """The same data set without the craters that are hard to see: the others are learnt in half of the time."""
    rows = np.flatnonzero((data.column("label") == 0) | (data.column("contrast_to_noise") > 6.0))
    return DataSet((data.images(rows),), data.table.take(pa.array(rows)), data.card)


def test_a_short_training_beats_chance_clearly(
    easy: dict[str, DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced: list[object] = []
    take_step = keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda self, data: traced.append(self) or take_step(self, data))
    settings = Settings(
        "matched",
        budget=Budget(megapixels=2.6),
        step_two_share=0.0,
        epoch_images=200,
        batches=(4, 4),
        learning_rate=5e-3,
    )
    train, validation = clear(easy["train"]), clear(easy["validation"])
    weights = fit(settings, Data(train, validation), tmp_path, say=lambda _: None)
    assert len(traced) == 1, "a step is traced once, which is the most of a short fit"
    logit = logits(weights, "sigma-clip", validation)
    assert roc_area(validation.column("label"), logit) > 0.7
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,epoch,minutes")
    made = calibrated_bundle(tmp_path, validation, name="short")
    made.save(tmp_path / "bundle")
    assert bundle.load(tmp_path / "bundle").trained["images_seen"] > 220  # 2.6 megapixels of 104x104


def test_a_killed_fit_goes_on_from_its_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, split in (("train", "train"), ("validation", "validation")):
        synthesize(Order("matched", 40, (104, 104), split), tmp_path / name, workers=1)
    command = [
        *(sys.executable, "-m", "training", "fit", str(tmp_path / "fit")),
        *("--data", str(tmp_path / "train"), "--validation", str(tmp_path / "validation")),
        *("--megapixels", "0.8", "--step-two", "0", "--epoch-images", "32", "--batch", "8", "--precision", "float32"),
    ]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    path = tmp_path / "fit" / "checkpoint.npz"
    while not path.exists():
        assert child.poll() is None, "the fit ended before it could be killed"
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    killed = checkpoint.peek(path)
    assert killed is not None
    assert killed.epoch >= 1
    if killed.megapixels < 0.8:
        monkeypatch.setattr(sys, "argv", ["training", *command[3:]])
        try:
            main()
        except SystemExit as ended:
            assert not ended.code
        first = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("step"))
        assert first.startswith(f"step 1 epoch {killed.epoch + 1}:")
    finished = checkpoint.peek(path)
    assert finished is not None
    assert finished.megapixels >= 0.8
    rows = [line.split(",")[:2] for line in (tmp_path / "fit" / "log.csv").read_text().splitlines()[1:]]
    assert rows == [["1", str(number + 1)] for number in range(finished.epoch)]
    monkeypatch.setattr(sys, "argv", ["training", *command[3:], "--seed", "7"])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert "other settings" in said
    assert "Traceback" not in said


def test_a_resumed_fit_ends_with_the_same_weights(untraced: None, easy: dict[str, DataSet], tmp_path: Path) -> None:
    data = Data(easy["train"], easy["validation"].first(20))

    def settings(megapixels: float) -> Settings:
        return Settings(
            "original", budget=Budget(megapixels=megapixels), step_two_share=0.0, epoch_images=16, batches=(8, 4)
        )

    both = []
    for name in ("whole", "broken"):
        folder, wanted = tmp_path / name, settings(0.3)

        def say(_: str, breaking: bool = name == "broken") -> None:
            if breaking:
                raise KeyboardInterrupt

        if name == "broken":
            with pytest.raises(KeyboardInterrupt):
                fit(wanted, data, folder, say=say)
            resumed = checkpoint.peek(folder / "checkpoint.npz")
            assert resumed is not None
            assert resumed.epoch == 1
        fit(wanted, data, folder, say=lambda _: None)
        with np.load(folder / "checkpoint.npz") as stored:
            both.append({key: stored[key] for key in stored.files if key != "state"})
    assert both[0].keys() == both[1].keys()
    assert all(np.allclose(both[0][key], both[1][key], atol=1e-4) for key in both[0])


def test_a_fit_goes_on_from_another(untraced: None, easy: dict[str, DataSet], tmp_path: Path) -> None:
    data = Data(easy["train"], easy["validation"].first(20))
    settings = Settings("matched", budget=Budget(megapixels=0.17), step_two_share=0.0, epoch_images=16, batches=(8, 4))
    fit(settings, data, tmp_path / "first", say=lambda _: None)
    resting = replace(settings, seed=1, learning_rate=1e-9)
    fit(resting, data, tmp_path / "second", InitialWeights(earlier=tmp_path / "first"), say=lambda _: None)
    fit(resting, data, tmp_path / "other", say=lambda _: None)
    kernels = []
    for name in ("first", "second", "other"):
        with np.load(tmp_path / name / "checkpoint.npz") as stored:
            kernels.append(stored["model0"])
    assert kernels[0].shape == (3, 3, 1, 64)
    assert np.abs(kernels[0] - kernels[1]).max() < 1e-6
    assert np.abs(kernels[0] - kernels[2]).max() > 1e-3
    with pytest.raises(UsageError, match="begun"):  # it is not the same fit without what it began with
        fit(resting, data, tmp_path / "second", say=lambda _: None)


def test_missing_data_for_the_second_step_is_explained(easy: dict[str, DataSet], tmp_path: Path) -> None:
    settings = Settings("original", budget=Budget(megapixels=0.1), step_two_share=0.5, epoch_images=8, batches=(8, 4))
    said: list[str] = []
    with pytest.raises(UsageError, match="--whole"):
        fit(settings, Data(easy["train"], easy["validation"].first(10)), tmp_path, say=said.append)
    assert not said, "only after the first step"
    with pytest.raises(UsageError, match="No weights"):
        load_best(tmp_path / "nowhere")


def test_a_log_that_a_kill_cut_goes_on(tmp_path: Path) -> None:
    figures = {"validation_auc": 0.9, "accuracy": 0.8, "recall_at_4": 0.7, "validation_loss": 0.5}
    log = tmp_path / "log.csv"
    log.write_text("")
    for epoch in (1, 2, 3):
        write_log(tmp_path, checkpoint.State(epoch=epoch), 0.5, 1e-3, figures)
    whole = log.read_text()
    log.write_text(whole + "1,4,0.")
    write_log(tmp_path, checkpoint.State(epoch=3), 0.5, 1e-3, figures)  # done again
    assert log.read_text() == whole
