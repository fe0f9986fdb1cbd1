"""Verdicts: imported, kept with the run, counted, and handed on to training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from crater_ray.errors import UsageError
from crater_ray.results.review.statistics import Precision, agreement, cohens_kappa, precision
from crater_ray.results.review.verdicts import Verdict, consensus, import_file, judged_rows, read_verdicts
from crater_ray.runs.run import Run, open_existing
from crater_ray.storage.access import Access
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli
from tests.made_runs import ODD_KEYS, make_run, row


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = [row(f"k{number}", number / 10, x=float(number), y=1.0) for number in range(10)]
    return make_run(tmp_path / "run", [*rows, row("bad", None)], threshold=0.5)


def saved(path: Path, run: Run, reviewer: str, said: dict[str, str], hour: int = 1, **more: Any) -> Path:
    """A file as the gallery's page writes it."""
    when = f"2026-01-01T{hour:02d}:00:00.000Z"
    content = {"kind": "crater-ray verdicts", "format": 1, "run_id": run.id, "bundle": "x", "reviewer": reviewer}
    content["verdicts"] = [{"key": key, "verdict": verdict, "when": when} for key, verdict in said.items()]
    path.write_text(json.dumps(content | more))
    return path


def test_verdicts_are_kept_and_reported(run: Run, tmp_path: Path, cli: Cli) -> None:
    ann = saved(tmp_path / "ann.json", run, "Ann", {"k9": "crater", "k8": "not", "k7": "crater", "k1": "not"})
    ben = saved(tmp_path / "ben.json", run, "Ben [B]", {"k9": "crater", "k8": "crater", "k7": "unsure"})
    answer = cli("review", tmp_path / "run", ann, ben, "--export", tmp_path / "train.csv")
    assert answer.returncode == 0, answer.stderr
    assert "4 images judged: 2 crater, 1 not, 1 unsure" in answer.stdout
    assert "from 0.5: 2 of 2 judged are craters, precision 100.0% (95% interval 34.2-100.0%)" in answer.stdout
    assert "from 0.1: 2 of 3 judged are craters" in answer.stdout
    assert "2 of 5 candidates judged" in answer.stdout
    assert "Ann and Ben [B]: same on 1 of 3, Cohen's kappa" in answer.stdout
    with (tmp_path / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["key", "uri", "verdict", "x", "y", "score"]
    assert [(one["key"], one["verdict"]) for one in rows] == [
        ("k1", "blank"), ("k7", "crater"), ("k9", "crater")
    ]  # fmt: skip
    assert float(rows[0]["x"]) == 1.0
    assert cli("verify", tmp_path / "run").returncode == 0
    assert run.published() == {0, 1, 2}
    assert "4 images judged" in cli("review", tmp_path / "run").stdout


def test_the_newest_verdict_of_a_person_counts(run: Run, tmp_path: Path) -> None:
    later = saved(tmp_path / "b.json", run, "Ann", {"k1": "not", "k2": "", "k3": "crater"}, hour=5)
    earlier = saved(tmp_path / "a.json", run, "Ann", {"k1": "crater", "k2": "crater", "k3": ""}, hour=2)
    for _ in range(2):  # twice is the same as once
        for path in (later, earlier):
            import_file(run, path)
    assert [(one.key, one.verdict) for one in read_verdicts(run)] == [("k1", "not"), ("k3", "crater")]
    assert len(list((tmp_path / "run/reviews").iterdir())) == 2


def test_a_csv_brings_missed_craters_and_their_places(run: Run, tmp_path: Path) -> None:
    (tmp_path / "missed.csv").write_text("key,verdict,x,y\nk0,crater,33.5,44\nk1,not,,\n")
    with pytest.raises(UsageError, match="--reviewer"):
        import_file(run, tmp_path / "missed.csv")
    assert import_file(run, tmp_path / "missed.csv", "Cleo") == 2
    table = judged_rows(run, consensus(read_verdicts(run)))
    assert table.select(["key", "verdict", "x", "y"]).to_pylist() == [
        {"key": "k0", "verdict": "crater", "x": 33.5, "y": 44.0},
        {"key": "k1", "verdict": "not", "x": 1.0, "y": 1.0},
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "no file of verdicts"),
        ("[]", "does not say that it is"),
        ('{"kind": "crater-ray verdicts", "format": 2}', "format 1"),
        ('{"kind": "crater-ray verdicts", "format": 1, "run_id": "other"}', "--any-run"),
    ],
)
def test_files_that_are_none(run: Run, tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(UsageError, match=why):
        import_file(run, tmp_path / "odd.json")
    assert not (tmp_path / "run/reviews").exists()


def test_verdicts_on_nothing_and_unknown_words_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 images that the run does not have: 'k77'"):
        import_file(run, saved(tmp_path / "a.json", run, "Ann", {"k1": "not", "k77": "not"}))
    with pytest.raises(UsageError, match="one of crater, not, unsure; received: 'maybe' for 'k1'"):
        import_file(run, saved(tmp_path / "a.json", run, "Ann", {"k1": "maybe"}))
    with pytest.raises(UsageError, match="no column verdict"):
        (tmp_path / "a.csv").write_text("key,word\nk1,not\n")
        import_file(run, tmp_path / "a.csv", "Ann")
    with pytest.raises(UsageError, match="There is no file"):
        import_file(run, tmp_path / "absent.json")
    assert read_verdicts(run) == []


def test_verdicts_of_another_run_when_asked_for(run: Run, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.json", run, "Ann", {"k1": "not"}, run_id="another")
    assert import_file(run, path, any_run=True) == 1


def test_odd_keys_and_names(tmp_path: Path, cli: Cli) -> None:
    run = make_run(tmp_path / "run", [row(key, 0.9) for key in ODD_KEYS])
    path = saved(tmp_path / "a.json", run, "../../[red]<b>Zoë</b>", dict.fromkeys(ODD_KEYS, "crater"))
    answer = cli("review", tmp_path / "run", path, "--export", tmp_path / "train.csv")
    assert answer.returncode == 0, answer.stderr
    assert "by ../../[red]<b>Zoë</b> (8)" in answer.stdout
    with (tmp_path / "train.csv").open(newline="", encoding="utf-8") as file:
        assert sorted(one["key"] for one in csv.DictReader(file)) == sorted(ODD_KEYS)
    assert all(len(one.name) == 21 for one in (tmp_path / "run/reviews").iterdir())


def test_kappa_of_a_known_table() -> None:
    # Cohen (1960) gives (observed - expected) / (1 - expected); 20/5/10/15 is the usual worked example: 0.4.
    pairs = [("crater", "crater")] * 20 + [("crater", "not")] * 5 + [("not", "crater")] * 10 + [("not", "not")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    assert cohens_kappa([("crater", "crater")]) is None
    assert cohens_kappa([("crater", "not"), ("not", "crater")]) == pytest.approx(-1)


def test_consensus_and_agreement() -> None:
    said = [Verdict("a", word, who, "2026") for who, word in (("x", "crater"), ("y", "crater"), ("z", "not"))]
    assert consensus(said)["a"].verdict == "crater"
    assert consensus(said[1:])["a"].verdict == "unsure"
    assert [(one.first, one.second, one.same) for one in agreement(said)] == [
        ("x", "y", 1),
        ("x", "z", 0),
        ("y", "z", 0),
    ]
    assert agreement(said[:1]) == []


def test_precision_leaves_the_unsure_out(run: Run) -> None:
    said = [Verdict("k9", "crater", "a", "1"), Verdict("k8", "unsure", "a", "1"), Verdict("bad", "not", "a", "1")]
    judged = judged_rows(run, consensus(said))
    assert precision(run, judged, [0.5]) == [Precision(0.5, 1, 1, 5)]
    # 95% Wilson interval of 18 of 27, as published with the field's figures: 48-81%.
    low, high = Precision(0.5, 18, 27, 27).interval()
    assert (round(low, 2), round(high, 2)) == (0.48, 0.81)


def test_reviews_of_a_run_on_s3(s3: LocalS3, tmp_path: Path) -> None:
    access = Access(s3.endpoint_url)
    uri = f"s3://{PUBLIC}/review/run"
    run = make_run(uri, [row("k1", 0.9)], access=access)
    import_file(run, saved(tmp_path / "a.json", run, "Ann", {"k1": "crater"}))
    with open_existing(uri, access) as opened:
        assert [one.verdict for one in read_verdicts(opened)] == ["crater"]
        assert opened.check().whole
