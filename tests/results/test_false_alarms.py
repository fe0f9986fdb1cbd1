"""Blanks and craters to be expected: intervals against known tails, foils of their own, and what the commands say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crater_ray.results.false_alarms.foils import FoilScores
from crater_ray.results.false_alarms.forecast import Forecast, expected, forecast
from crater_ray.results.false_alarms.per_foil import allot
from crater_ray.results.false_alarms.report import false_alarms
from crater_ray.results.false_alarms.tail import Craters
from crater_ray.results.review.verdicts import import_file
from tests.conftest import Cli
from tests.made_runs import make_run, row

TAILS = {
    "logistic": stats.logistic(-6, 1.2),
    "normal": stats.norm(-7, 2),
    "gumbel": stats.gumbel_r(-8, 1.0),
    "skewed": stats.skewnorm(4, -9, 3),
}
"""Of logits of blanks' scores."""


def sigmoid(logits: np.ndarray) -> np.ndarray:
    scores: np.ndarray = 1 / (1 + np.exp(-np.asarray(logits, float)))
    return scores


def of(logits: np.ndarray, said: np.ndarray | None = None, craters: Craters | None = None, foil: str = "") -> Forecast:
    order = np.argsort(logits)
    words = np.zeros(len(logits), np.int8) if said is None else said[order]
    return forecast(FoilScores(foil, sigmoid(logits[order]).astype(np.float32), words, 0.0), craters)


@pytest.mark.parametrize("name", TAILS)
def test_intervals_cover_the_blanks_to_be_expected(name: str) -> None:
    """Of 60 foils of 4,000 images each: at scores that 40, 10 and 2 blanks reach on average."""
    inside = np.zeros(3)
    true = np.array([40, 10, 2])
    cuts = sigmoid(TAILS[name].isf(true / 4_000))
    for seed in range(60):
        one = of(TAILS[name].rvs(4_000, random_state=seed))
        assert one.method == "tail"
        found = expected([one], [cuts])
        inside += [there.blanks.lower <= mean <= there.blanks.upper for there, mean in zip(found, true, strict=True)]
    assert (inside >= 0.85 * 60).all()
    assert inside.sum() >= 0.90 * 180


def test_few_images_are_counted_with_garwoods_interval() -> None:
    logits = np.linspace(-5, 5, 2_000)
    said = np.zeros(2_000, np.int8)
    said[-3:] = 1
    one = of(logits, said)
    cut = sigmoid(logits[-13])
    [there] = expected([one], [[float(np.float32(cut))]])
    assert (one.method, there.images, there.blanks.value) == ("count", 13, 10)
    assert (there.blanks.lower, there.blanks.upper) == pytest.approx((4.795, 18.39), rel=1e-3)
    assert there.craters is None


def planted(rng: np.random.Generator, count: int = 400) -> tuple[np.ndarray, Craters]:
    """Logits of craters, a quarter of them hopeless, and of others as they were planted."""

    def draw(many: int) -> np.ndarray:
        return np.where(rng.random(many) < 0.25, -30, rng.normal(0, 2.5, many))

    return draw(60), Craters(sigmoid(draw(count)), np.ones(count))


@pytest.mark.slow
def test_craters_are_told_from_blanks_where_it_is_known_how_they_score() -> None:
    """Of 20 foils with 60 craters among 4,000 images, intervals of both cover; without, craters count as blanks."""
    hits = np.zeros(2)
    over = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        real, known = planted(rng)
        blanks = TAILS["normal"].rvs(3_940, random_state=rng)
        logits, cut = np.concatenate([blanks, real]), -2.5
        [there] = expected([of(logits, craters=known)], [[float(sigmoid(np.array(cut)))]])
        assert there.craters is not None
        mean = 3_940 * TAILS["normal"].sf(cut)
        craters = 60 * 0.75 * stats.norm.sf(cut / 2.5)
        hits += [
            there.blanks.lower <= mean <= there.blanks.upper,
            there.craters.lower <= craters <= there.craters.upper,
        ]
        [without] = expected([of(logits)], [[float(sigmoid(np.array(cut)))]])
        over.append(without.blanks.value / mean)
        assert without.craters is None
    assert (hits >= 0.85 * 20).all()
    assert np.median(over) > 1.2


@pytest.mark.slow
def test_craters_of_fewer_images_are_told_by_their_scores() -> None:
    """Of 16 foils with 30 craters among 1,500 images: blanks are counted, intervals of craters cover."""
    inside = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        real, known = planted(rng)
        logits, cut = np.concatenate([TAILS["normal"].rvs(1_470, random_state=rng), real[:30]]), -2.5
        one = of(logits, craters=known)
        [there] = expected([one], [[float(sigmoid(np.array(cut)))]])
        assert there.craters is not None
        assert (one.method, there.blanks.value) == ("count", there.images)
        inside += there.craters.lower <= 30 * 0.75 * stats.norm.sf(cut / 2.5) <= there.craters.upper
    assert inside >= 0.8 * 16


def test_verdicts_tell_of_what_was_not_reviewed() -> None:
    """Few images, the best 50 judged: craters below follow from those above and the shares of planted ones."""
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, known = planted(rng)
        logits = np.concatenate([TAILS["normal"].rvs(900, random_state=rng), real])
        said = np.zeros(960, np.int8)
        best = np.argsort(-logits)[:50]
        said[best] = np.where(best >= 900, 1, 2)
        cut = -3.5
        [there] = expected([of(logits, said, known)], [[float(sigmoid(np.array(cut)))]])
        assert there.craters is not None
        mean = 60 * 0.75 * stats.norm.sf(cut / 2.5)
        inside += there.craters.lower <= mean <= there.craters.upper
    assert inside >= 0.87 * 40


def rows(seed: int = 0, images: int = 3_200) -> list[dict[str, Any]]:
    """Two foils: the blanks of one score far higher than those of the other, craters of both alike."""
    rng = np.random.default_rng(seed)
    made = []
    for foil, middle in (("clean", -9), ("rough", -5)):
        logits = np.concatenate([rng.normal(middle, 1.5, images - 10), rng.normal(-2.5, 0.5, 10)])
        for number, score in enumerate(sigmoid(logits)):
            name = f"{foil}/{'c' if number >= images - 10 else 'b'}{number:05d}"
            made.append(row(name, float(np.float32(score)), x=1.0, y=1.0))
    return made


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_foil_has_a_threshold_of_its_own(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", rows(), shard_images=2_000)
    words = ("candidates", tmp_path / "run", "--budget", "60")
    one = cli(*words, "--csv", tmp_path / "one.csv")
    assert one.returncode == 0, one.stderr
    own = cli(*words, "--csv", tmp_path / "own.csv", "--per-foil", tmp_path / "foils")
    assert own.returncode == 0, own.stderr
    assert "60 candidates, each foil from a threshold of its own" in own.stdout
    found = {name: [line["key"] for line in read(tmp_path / f"{name}.csv")] for name in ("one", "own")}
    assert len(found["one"]) == len(found["own"]) == len(set(found["own"])) == 60
    craters = {name: sum("/c" in key for key in keys) for name, keys in found.items()}
    assert craters["own"] > craters["one"] + 3  # at one threshold the rough foil's blanks crowd out clean craters
    foils = {line["foil"]: line for line in read(tmp_path / "foils/foils.csv")}
    assert sum(int(line["candidates"]) for line in foils.values()) == 60
    assert float(foils["rough"]["threshold"]) > 10 * float(foils["clean"]["threshold"])
    assert {line["method"] for line in foils.values()} == {"tail"}
    for foil, line in foils.items():
        keys = [one["key"] for one in read(tmp_path / "foils" / line["file"])]
        assert len(keys) == int(line["candidates"])
        assert all(key.startswith(foil) for key in keys)


def test_a_folder_for_each_image_makes_no_foils(tmp_path: Path, cli: Cli) -> None:
    made = [row(f"folder{number}/image", number / 1_200, x=1.0, y=1.0) for number in range(1_100)]
    make_run(tmp_path / "run", made, shard_images=600)
    answer = cli("candidates", tmp_path / "run", "--budget", "9", "--per-foil", tmp_path / "foils")
    assert "9 candidates, each foil" in answer.stdout, answer.stderr
    [line] = read(tmp_path / "foils/foils.csv")
    assert (line["foil"], line["candidates"], line["file"]) == ("", "9", "no-foil.csv")
    assert len(read(tmp_path / "foils/no-foil.csv")) == 9


def test_foils_share_a_budget_by_their_blanks() -> None:
    few = [of(np.linspace(-9, -5, 500), foil="a"), of(np.linspace(-3, 3, 1_500), foil="b")]
    shares = allot(few, 40)
    assert [(one.foil, one.taken) for one in shares] == [("a", 10), ("b", 30)]
    assert [one.taken for one in allot(few, 5_000)] == [500, 1_500]
    assert [(one.taken, one.threshold) for one in allot(few, 0)] == [(0, float("inf"))] * 2
    assert allot([], 5) == []


def test_the_command_says_what_is_to_be_expected(tmp_path: Path, cli: Cli) -> None:
    run = make_run(tmp_path / "run", rows(images=400), shard_images=300)
    answer = cli("candidates", tmp_path / "run", "--budget", "50", "--false-alarms", tmp_path / "table.csv")
    assert answer.returncode == 0, answer.stderr
    assert (
        "Expected among them: 50 (37 to 66) blanks (all that nobody marked as a crater); "
        "how many craters is not known." in answer.stdout
    )
    table = read(tmp_path / "table.csv")
    assert {(line["of"], line["foil"]) for line in table} == {("run", ""), ("foil", "clean"), ("foil", "rough")}
    at = {line["threshold"]: line for line in table if line["of"] == "run"}
    assert (at["0.0001"]["method"], at["0.0001"]["craters"]) == ("count", "")
    assert float(at["0.0001"]["blanks"]) == float(at["0.0001"]["images"])
    cli("candidates", tmp_path / "run", "--budget", "10", "--csv", tmp_path / "best.csv")
    said = "".join(f"{line['key']},crater\n" for line in read(tmp_path / "best.csv"))
    (tmp_path / "said.csv").write_text(f"key,verdict\n{said}")
    import_file(run, tmp_path / "said.csv", "Ann")
    assert "40 (29 to 54) blanks" in cli("candidates", tmp_path / "run", "--budget", "50").stdout
    assert "Expected" not in cli("candidates", tmp_path / "run").stdout


def test_scores_that_make_no_tail_are_counted(tmp_path: Path) -> None:
    same = of(np.zeros(5_000))
    assert same.method == "count"
    steps = of(np.repeat(np.linspace(-5, 5, 20), 250))
    assert steps.method == "count"
    make_run(tmp_path / "run", [row("bad", None), row("k", 0.5)])
    from crater_ray.runs.run import open_existing

    with open_existing(tmp_path / "run") as run:
        [there] = false_alarms(run).at([0.25])
    assert (there.images, there.blanks.value) == (1, 1)


def test_the_screens_own_estimates_make_no_tail(tmp_path: Path) -> None:
    """Scores of a screen are on a scale of their own: a tail begins above all of them."""
    logits = TAILS["logistic"].rvs(4_000, random_state=1)
    scores = FoilScores("", np.sort(sigmoid(logits)).astype(np.float32), np.zeros(4_000, np.int8), 0.05)
    one = forecast(scores)
    assert one.tail is None or one.tail.start >= np.log(0.05 / 0.95) - 1e-6
