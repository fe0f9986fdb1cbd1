"""What follows a fit: retraining with proof, pictures, and a command line that explains mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle, load
from tests.made_screens import screened_bundle
from training.__main__ import main
from training.data_sets.dataset import DataSet
from training.evaluation.explain import explain
from training.evaluation.intervals import budget_threshold
from training.fitting.best import load_best
from training.fitting.calibrate import REVIEW_BUDGET, platt
from training.fitting.settings import Budget, Settings
from training.network.scoring import logits, probability
from training.retraining.added import Added, read_added
from training.retraining.comparison import compare, table, verdict
from training.retraining.dense_layers import DenseSettings
from training.retraining.retrain import RetrainSettings, Sets, retrain


def test_added_images_are_found_in_both_layouts(tmp_path: Path) -> None:
    Image.fromarray(np.full((95, 130), 7, np.uint8)).save(tmp_path / "plain.png")
    (tmp_path / "fm_1").mkdir()
    Image.fromarray(np.full((200, 200), 9, np.uint8)).save(tmp_path / "fm_1" / "fm_1-001.png")
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text("key,verdict\nplain,crater\nfm_1,blank\n")
    added = read_added(tmp_path, verdicts, (104, 104))
    assert added.pixels.shape == (2, 104, 104)
    assert added.label.tolist() == [1, 0]
    assert (added.pixels[0] == 7).all()
    for text, message in (
        ("key,verdict\nplain,maybe\n", "crater or blank"),
        ("name\nplain\n", "columns key and verdict"),
        ("key,verdict\ngone,crater\n", "No image for the key"),
    ):
        verdicts.write_text(text)
        with pytest.raises(UsageError, match=message):
            read_added(tmp_path, verdicts, (104, 104))


@pytest.mark.slow
def test_retraining_is_only_better_if_recall_is_kept(
    untraced: None, untrained: Path, easy: dict[str, DataSet], sets: dict[str, DataSet], tmp_path: Path
) -> None:
    before = load(screened_bundle(untrained, tmp_path / "before"))
    rng = np.random.default_rng(0)
    nowhere = np.full((6, 2), np.nan, np.float32)
    pixels = rng.integers(90, 110, (6, 104, 104), dtype=np.uint8)
    added = Added(pixels, np.zeros(6, int), tuple("abcdef"), nowhere)
    settings = Settings("original", budget=Budget(megapixels=0.2), epoch_images=8, batches=(8, 8))
    data = Sets(easy["train"].first(40), easy["validation"].first(20), sets["test"].first(20))
    after, comparison = retrain(before, added, data, RetrainSettings(settings), tmp_path)
    assert after.id != before.id
    # A screen holds for the network that it was distilled from.
    assert before.screen is not None
    assert load(after.save(tmp_path / "after")).screen is None
    assert after.trained["retrained"]["from"] == before.id
    assert comparison["test before"]["craters"] == 10
    assert "| test after |" in table(comparison)
    lost = {**comparison, "recall_kept": False, "better": False}
    assert "fell below" in verdict(lost)


def plain_to_see(data: DataSet) -> DataSet:
    """The same data set with a white square for each crater, which a few batches teach."""
    pixels = data.images(range(len(data)))
    pixels[data.column("label") == 1, 40:70, 40:70] = 255
    return DataSet((pixels,), data.table, data.card)


@pytest.mark.slow
def test_what_the_held_out_images_chose_is_then_taught_them_too(
    untrained: Path, easy: dict[str, DataSet], sets: dict[str, DataSet], tmp_path: Path
) -> None:
    network, train = load(untrained), plain_to_see(easy["train"].first(48))
    rows = np.arange(16)
    judged = train.images(rows)
    added = Added(judged, train.column("label")[rows], tuple(map(str, rows)), np.full((16, 2), np.nan))
    settings = Settings("original", budget=Budget(megapixels=0.8), epoch_images=32, batches=(4, 4), learning_rate=1e-3)
    said: list[str] = []
    data = Sets(train, plain_to_see(easy["validation"].first(20)), sets["test"].first(20))
    after, comparison = retrain(
        network, added, data, RetrainSettings(settings, DenseSettings(steps=0)), tmp_path, said.append
    )
    assert comparison["chosen"] not in ("as it was", "dense layers"), comparison["held_out_loss"]
    first, second = (load_best(tmp_path / name) for name in ("held-out", "all"))
    part = {"all layers": 1.0}.get(comparison["chosen"]) or float(comparison["chosen"].split("%")[0]) / 100
    kernel = "conv3/kernel"
    start = network.weights[kernel]
    assert not np.array_equal(first[kernel], second[kernel])
    np.testing.assert_allclose(after.weights[kernel], start + part * (second[kernel] - start), rtol=1e-5, atol=1e-7)
    assert [line for line in said if "all judged images" in line]


@pytest.mark.slow
def test_whole_images_set_the_scale_of_the_scores_and_the_threshold_anew(
    untrained: Path, easy: dict[str, DataSet], sets: dict[str, DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here those of 104x104 pixels count as whole, which are looked at sooner."""
    monkeypatch.setattr("training.retraining.retrain.TILE", (104, 104))
    network, train, validation = load(untrained), easy["train"], easy["validation"]
    rows = np.arange(16)
    added = Added(train.images(rows), train.column("label")[rows], tuple(map(str, rows)), np.full((16, 2), np.nan))
    settings = RetrainSettings(Settings("original"), layers="dense")
    data = Sets(train, validation, sets["test"].first(20))
    after, comparison = retrain(network, added, data, settings, tmp_path, lambda _: None)
    assert comparison["chosen"] == "dense layers", comparison["held_out_loss"]
    label, logit = validation.column("label"), logits(after.weights, after.preprocessing, validation)
    assert platt(label, logit) == pytest.approx((1.0, 0.0), abs=0.05)
    cut = budget_threshold(probability(logit[label == 0]), REVIEW_BUDGET)
    assert after.typical_threshold == pytest.approx(cut, abs=1e-4)  # rounded
    assert after.typical_threshold != network.typical_threshold


@pytest.mark.slow
def test_a_bundle_that_lost_recall_is_not_better(untrained: Path, sets: dict[str, DataSet]) -> None:
    """The same network with a threshold that nothing reaches makes no false alarm, and finds nothing."""
    network = load(untrained)
    generous = Bundle(network.weights, network.preprocessing, 0.0)
    strict = Bundle(network.weights, network.preprocessing, 1.1)
    nowhere = np.full((4, 2), np.nan, np.float32)
    added = Added(sets["train"].images(range(4)), np.zeros(4, int), tuple("abcd"), nowhere)
    comparison = compare(generous, strict, added, sets["test"].first(20))
    assert comparison["added after"]["false_alarms"] < comparison["added before"]["false_alarms"]
    assert not comparison["recall_kept"]


@pytest.mark.slow
def test_explaining_draws_pictures(untrained: Path, tmp_path: Path) -> None:
    files = explain(load(untrained), tmp_path)
    assert {path.name for path in files} == {"filters.png", "warped.png"}
    for path in files:
        with Image.open(path) as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["synthesize", "out", "--recipe", "mine"], "original, matched"),
        (["synthesize", "out", "--size", "wide"], "HEIGHTxWIDTH"),
        (["fit", "out", "--data", "nowhere", "--validation", "nowhere"], "not a complete data set"),
        (["older-methods", "out.json", "--train", "nowhere"], "not a complete data set"),
    ],
)
def test_wrong_use_is_explained_in_a_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_wrong_use_ends_a_process_with_2(tmp_path: Path) -> None:
    """Also where nothing but the checkout is on the path."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "training", "older-methods", "out.json", "--train", "nowhere"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not a complete data set" in done.stderr
    assert "Traceback" not in done.stderr
