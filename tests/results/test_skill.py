"""Skills of simulated reviewers are recovered, and verdicts on gold standards never count as verdicts on the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.results.review.gold import GoldStandard, GoldVerdict, keep_gold, kept_gold, read_gold_verdicts
from crater_ray.results.review.skill import probabilities, skills
from crater_ray.results.review.verdicts import FOLDER, Verdict, consensus, import_file, read_verdicts
from crater_ray.runs.run import Run
from tests.conftest import Cli
from tests.made_runs import make_run, row

SKILLS = {"Ann": (0.95, 0.90), "Ben": (0.70, 0.97), "Cleo": (0.55, 0.60)}
"""Sensitivity and specificity."""


def said(rng: np.random.Generator, reviewer: str, crater: bool) -> str:
    finds, rejects = SKILLS[reviewer]
    return "crater" if rng.random() < (finds if crater else 1 - rejects) else "not"


def simulate(seed: int, gold: int = 60) -> tuple[list[GoldVerdict], list[Verdict], np.ndarray]:
    """Verdicts of everybody on `gold` standards of either kind, and on 400 images, a fifth of them craters."""
    rng = np.random.default_rng(seed)
    truths = ["crater", "not"] * gold
    judged = [
        GoldVerdict(f"g{number}", truth, said(rng, who, truth == "crater"), who, "1")
        for who in SKILLS
        for number, truth in enumerate(truths)
    ]
    craters = rng.random(400) < 0.2
    verdicts = [
        Verdict(f"k{number:03d}", said(rng, who, bool(crater)), who, "1")
        for number, crater in enumerate(craters)
        for who in SKILLS
    ]
    return judged, verdicts, craters


def test_known_skills_are_recovered_within_their_intervals() -> None:
    inside, tried = 0, 0
    for seed in range(40):
        for skill in skills(simulate(seed)[0]):
            pairs = zip(SKILLS[skill.reviewer], skill.intervals(), strict=True)
            inside += sum(low <= true <= high for true, (low, high) in pairs)
            tried += 2
    assert inside >= 0.92 * tried


def test_combined_probabilities_are_what_they_say() -> None:
    chances: list[float] = []
    truth: list[bool] = []
    for seed in range(20):
        gold, verdicts, craters = simulate(seed, gold=200)
        combined = probabilities(verdicts, skills(gold))
        assert combined.prior == pytest.approx(0.2, abs=0.1)
        chances += [combined.by_key[f"k{number:03d}"] for number in range(400)]
        truth += craters.tolist()
    p, crater = np.array(chances), np.array(truth)
    for low, high in ((0, 0.02), (0.02, 0.3), (0.3, 0.8), (0.8, 0.97), (0.97, 1)):
        some = (p >= low) & (p <= high)
        if some.sum() > 100:
            assert crater[some].mean() == pytest.approx(p[some].mean(), abs=0.07)


def test_skill_outweighs_numbers() -> None:
    """One who sees well beside two who guess: the majority is wrong far more often than the combined probability."""
    right, majority = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        gold, verdicts, craters = simulate(seed)
        for who in ("Dee", "Eve"):
            words = rng.choice(["crater", "not"], 520)
            gold += [GoldVerdict(f"g{n}", ["crater", "not"][n % 2], words[n], who, "1") for n in range(120)]
            verdicts += [Verdict(f"k{n:03d}", words[120 + n], who, "1") for n in range(400)]
        some = [one for one in verdicts if one.reviewer in ("Ann", "Dee", "Eve")]
        combined = probabilities(some, skills(gold))
        right += [(combined.by_key[f"k{n:03d}"] > 0.5) == craters[n] for n in range(400)]
        agreed = consensus(some)
        majority += [(agreed[f"k{n:03d}"].verdict == "crater") == craters[n] for n in range(400)]
    assert np.mean(right) > np.mean(majority) + 0.1


def test_those_who_judged_no_gold_and_the_unsure_change_nothing() -> None:
    known = skills([GoldVerdict(f"g{n}", "crater", "crater", "Ann", "1") for n in range(8)])
    [ann] = known
    assert (ann.found, ann.craters, ann.specificity, ann.says("crater")) == (8, 8, None, (0.9, 0.5))
    verdicts = [
        Verdict("a", "unsure", "Ann", "1"),
        Verdict("b", "crater", "Zoë", "1"),
        Verdict("c", "crater", "Ann", "1"),
    ]
    combined = probabilities(verdicts, known, prior=0.25)
    assert [combined.by_key[key] for key in "ab"] == pytest.approx([0.25, 0.25])
    assert combined.by_key["c"] == pytest.approx(0.25 * 0.9 / (0.25 * 0.9 + 0.75 * 0.5))
    assert combined.counts() == (0, 0, 3)
    assert probabilities([], known).by_key == {}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path / "run", [row(f"k{number}", number / 10, x=1.0, y=1.0) for number in range(10)])
    keep_gold(run, [GoldStandard("g1", "crater", "k1", 3.0, 4.0, 9.0), GoldStandard("g2", "not", "k2", 1.0, 2.0)])
    return run


def saved(path: Path, run: Run, words: dict[str, str], marks: dict[str, str] | None = None) -> Path:
    """A file as a gallery saves it; `marks` says which are gold standards."""
    verdicts = [
        {"key": key, "verdict": word, "when": "2026-01-01T01:00:00.000Z"}
        | ({"gold": marks[key]} if key in (marks or {}) else {})
        for key, word in words.items()
    ]
    content = {"kind": "crater-ray verdicts", "format": 1, "run_id": run.id, "reviewer": "Ann", "verdicts": verdicts}
    path.write_text(json.dumps(content))
    return path


WORDS = {"k9": "crater", "k8": "not", "g1": "crater", "g2": "crater"}


def test_gold_standards_never_count(run: Run, tmp_path: Path, cli: Cli) -> None:
    """Whether the file marks them, or only the run knows them, or a CSV brings them."""
    (tmp_path / "plain.csv").write_text("key,verdict,reviewer\n" + "".join(f"{k},{w},Ann\n" for k, w in WORDS.items()))
    files = [
        saved(tmp_path / "known.json", run, WORDS),
        saved(tmp_path / "marked.json", run, WORDS | {"g3": "not"}, {"g1": "crater", "g2": "not", "g3": "crater"}),
        tmp_path / "plain.csv",
    ]
    for path in files:
        assert import_file(run, path) == 2
    assert {one.key for one in read_verdicts(run)} == {"k8", "k9"}
    assert len(read_gold_verdicts(run, FOLDER)) == 3
    answer = cli("review", tmp_path / "run", "--export", tmp_path / "train.csv", "--probabilities", tmp_path / "p.csv")
    assert answer.returncode == 0, answer.stderr
    assert "2 images judged: 1 crater, 1 not, 0 unsure" in answer.stdout
    assert "by Ann (2)" in answer.stdout
    assert (
        "Ann on gold standards: finds 1 of 2 craters, sensitivity 50.0% (95% interval 9.5-90.5%); rejects 0 of 1 blanks"
        in answer.stdout
    )
    for name in ("train", "p"):
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            assert {line["key"] for line in csv.DictReader(file)} == {"k8", "k9"}
    assert "g1" not in cli("candidates", tmp_path / "run", "--threshold", "0", "--csv", "-").stdout
    assert cli("verify", tmp_path / "run").returncode == 0


def test_a_csv_may_say_what_is_gold(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("key,verdict,truth\nk3,crater,not\nk4,crater,\n")
    assert import_file(run, tmp_path / "gold.csv", "Ben") == 1
    assert [one.key for one in read_verdicts(run)] == ["k4"]
    assert [(one.key, one.truth) for one in read_gold_verdicts(run, FOLDER)] == [("k3", "not")]
    (tmp_path / "odd.csv").write_text("key,verdict,truth\nk3,crater,maybe\n")
    with pytest.raises(UsageError, match="a truth must be one of crater, not"):
        import_file(run, tmp_path / "odd.csv", "Ben")
    assert set(kept_gold(run)) == {"g1", "g2"}
