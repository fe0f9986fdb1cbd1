"""The lists that laboratories use: columns, joins, budgets, foils and re-imaging."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from crater_ray.errors import UsageError
from crater_ray.results.candidates import list_candidates, read_budget, reimaging_list, threshold_for_budget, write_csv
from crater_ray.results.image_table import read_image_table
from tests.conftest import Cli
from tests.made_runs import ODD_KEYS, make_run, row

TABLE = """id,key,file_comment,bad_focus,tech,VMcode,x_coord,empty
11,k1,real I1126N 541 2 0,3,0,7979425V1,1.5,
12,k2,real I1009W 7 2 0,50,0,7979426V1,2.5,
13,k3,calibration,,1,,3.5,
14,k1,real I9999N 1 2 0,0,0,second,9.5,
15,unseen,real I1126N 542 2 0,3,0,7979427V1,1.5,
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.csv"
    path.write_text(TABLE)
    return path


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    rows = [
        row("k1", 0.7, x=10.0, y=20.0, diameter=8.5, uri="s3://b/real/k1/k1-001.jpg"),
        row("k2", 0.9, x=59.5, y=49.5),
        row("k3", 0.5),
        row("I1009N_1234", 0.8, x=0.0, y=0.0),
        row("none", 0.1),
        row("bad", None),
    ]
    make_run(tmp_path / "run", rows)
    return tmp_path / "run"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_of_the_laboratories(run_path: Path, images: Path, tmp_path: Path, cli: Cli) -> None:
    answer = cli("candidates", run_path, "--table", images, "--csv", tmp_path / "out.csv")
    assert answer.returncode == 0, answer.stderr
    assert "4 candidates" in answer.stdout and "1 of them are flagged bad_focus" in answer.stdout
    with (tmp_path / "out.csv").open() as file:
        assert next(csv.reader(file))[:2] == ["Prediction", "FileName"]
    rows = read(tmp_path / "out.csv")
    assert [one["key"] for one in rows] == ["k2", "I1009N_1234", "k1", "k3"]
    best = {one["key"]: one for one in rows}
    assert float(best["k1"]["Prediction"]) == pytest.approx(0.7)
    assert best["k1"]["FileName"] == "k1-001.jpg"
    assert [best[key]["diameter"] for key in ("k1", "k2")] == ["8.5", ""]
    assert "places" not in best["k1"]
    assert [best["k1"][n] for n in ("foil", "frame", "VMcode", "flags", "id")] == [
        "I1126N",
        "541",
        "7979425V1",
        "",
        "11",
    ]
    assert [best["k2"][n] for n in ("foil", "frame", "flags", "bad_focus")] == ["I1009W", "7", "bad_focus", "50"]
    assert [best["k3"][n] for n in ("foil", "frame", "flags", "VMcode")] == ["", "", "", ""]
    assert [best["I1009N_1234"][n] for n in ("foil", "frame", "VMcode")] == ["I1009N", "1234", ""]


def test_standard_output_is_nothing_but_csv(run_path: Path, cli: Cli) -> None:
    answer = cli("candidates", run_path, "--csv", "-")
    rows = list(csv.DictReader(answer.stdout.splitlines()))
    assert [one["key"] for one in rows] == ["k2", "I1009N_1234", "k1", "k3"]


def test_a_list_needs_a_place(run_path: Path, tmp_path: Path, cli: Cli) -> None:
    cures = {tmp_path / "none/list.csv": "the folder that it should be in is not", tmp_path: "Give the name of a file"}
    for target, cure in cures.items():
        answer = cli("candidates", run_path, "--csv", target)
        assert answer.returncode == 2
        assert str(target) in answer.stderr and cure in answer.stderr


def test_images_without_a_score_are_named_with_their_reasons(tmp_path: Path, cli: Cli) -> None:
    lost = [row('odd, "key"', None, status="missing", error="no such file"), row("b", None, error="no JPEG, no end")]
    make_run(tmp_path / "run", [row("a", 0.5), *lost])
    answer = cli("status", tmp_path / "run", "--problems", "-")
    found = list(csv.DictReader(io.StringIO(answer.stdout)))
    assert [(one["key"], one["status"], one["error"]) for one in found] == [
        ("b", "unreadable", "no JPEG, no end"),
        ('odd, "key"', "missing", "no such file"),
    ]
    beside = cli("status", tmp_path / "run", "--problems", tmp_path / "lost.csv")
    assert "1 ok, " in beside.stdout
    assert (tmp_path / "lost.csv").read_text() == answer.stdout


@pytest.mark.parametrize(
    ("text", "expected"), [("4%", 16), ("4.5 %", 18), ("100%", 400), ("0%", 0), ("15,000", 15000), ("3", 3)]
)
def test_budgets(text: str, expected: int) -> None:
    assert read_budget(text, 400) == expected


@pytest.mark.parametrize("text", ["", "%", "four", "101%", "-3", "2.5", "1e3", "4%%"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        read_budget(text, 400)


def test_a_budget_takes_the_best(run_path: Path, tmp_path: Path, cli: Cli) -> None:
    # 6 images: 50% are 3. Ties at the cut-off must not break the budget.
    answer = cli("candidates", run_path, "--budget", "50%", "--csv", tmp_path / "out.csv")
    assert "3 candidates at or above 0.7" in answer.stdout, answer.stderr
    assert [one["key"] for one in read(tmp_path / "out.csv")] == ["k2", "I1009N_1234", "k1"]
    assert "0 candidates" in cli("candidates", run_path, "--budget", "1%").stdout
    assert "5 candidates at or above 0" in cli("candidates", run_path, "--budget", "100").stdout
    answer = cli("candidates", run_path, "--budget", "3", "--threshold", "0.5")
    assert (answer.returncode, "exclude each other" in answer.stderr) == (2, True)


def test_ties_stay_within_the_budget(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [row(f"k{number}", 0.25) for number in range(9)])
    cut = threshold_for_budget(run, 4)
    assert cut == 0.25
    assert list_candidates(run, cut).slice(0, 4)["key"].to_pylist() == ["k0", "k1", "k2", "k3"]


def test_lists_per_foil(run_path: Path, images: Path, tmp_path: Path, cli: Cli) -> None:
    answer = cli("candidates", run_path, "--threshold", "0.1", "--table", images, "--per-foil", tmp_path / "foils")
    assert "3 foils" in answer.stdout, answer.stderr
    names = {path.name for path in (tmp_path / "foils").iterdir()}
    assert names == {"foils.csv", "I1126N.csv", "I1009N.csv", "I1009W.csv", "no-foil.csv"}
    counts = {one["foil"]: one for one in read(tmp_path / "foils/foils.csv")}
    assert counts["I1009W"] == {
        "foil": "I1009W", "candidates": "1", "from_0.5": "1", "from_0.1": "1", "from_0.01": "1", "bad_focus": "1",
        "best": "0.9", "file": "I1009W.csv",
    }  # fmt: skip
    assert (counts[""]["candidates"], counts[""]["from_0.5"]) == ("2", "1")
    assert [one["key"] for one in read(tmp_path / "foils/no-foil.csv")] == ["k3", "none"]


def test_the_list_for_reimaging(run_path: Path, images: Path, tmp_path: Path, cli: Cli) -> None:
    answer = cli("candidates", run_path, "--table", images, "--reimage", tmp_path / "again.csv", "--pixel-size", "50")
    assert answer.returncode == 0, answer.stderr
    rows = read(tmp_path / "again.csv")
    assert [one["foil"] for one in rows] == ["I1009N", "I1009W", "I1126N", ""]
    by_key = {one["key"]: one for one in rows}
    # The centre of an image of 120x100 lies at 59.5, 49.5.
    assert (float(by_key["k2"]["right_px"]), float(by_key["k2"]["down_px"])) == (0, 0)
    assert (float(by_key["k1"]["right_px"]), float(by_key["k1"]["down_px"])) == (-49.5, -29.5)
    assert float(by_key["k1"]["right_um"]) == pytest.approx(-2.475)
    assert (by_key["k1"]["VMcode"], by_key["k1"]["x_coord"]) == ("7979425V1", "1.5")
    assert by_key["k3"]["right_px"] == ""
    assert [float(by_key["k1"][name]) for name in ("diameter_px", "diameter_nm")] == [8.5, 425]
    assert by_key["k2"]["diameter_nm"] == ""


def test_a_frame_with_several_places_has_a_line_for_each(tmp_path: Path) -> None:
    more = [
        {"x": 700.0, "y": 5.0, "score": 0.9, "diameter": 20.0},
        {"x": 10.0, "y": 20.0, "score": 0.75, "diameter": None},
    ]
    rows = [row("I1009N_7", 0.9, x=700.0, y=5.0, diameter=20.0, places=more), row("I1009N_8", 0.8, x=1.0, y=2.0)]
    found = list_candidates(make_run(tmp_path / "run", rows), 0.5, pixel_nm=50.0)
    assert found.num_rows == 2
    lines = reimaging_list(found).to_pylist()
    assert [(one["key"], one["x"], one["diameter_nm"]) for one in lines] == [
        ("I1009N_7", 700, 1000),
        ("I1009N_7", 10, None),
        ("I1009N_8", 1, None),
    ]
    assert lines[1]["Prediction"] == pytest.approx(0.75)


def test_without_a_pixel_size_there_are_no_micrometres(run_path: Path, tmp_path: Path, cli: Cli) -> None:
    cli("candidates", run_path, "--reimage", tmp_path / "again.csv")
    assert "right_um" not in read(tmp_path / "again.csv")[0]


def test_odd_names_come_through_csv(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", [row(key, 0.6) for key in ODD_KEYS])
    answer = cli("candidates", tmp_path / "run", "--csv", tmp_path / "c.csv", "--per-foil", tmp_path / "foils")
    assert answer.returncode == 0, answer.stderr
    assert sorted(one["key"] for one in read(tmp_path / "c.csv")) == sorted(ODD_KEYS)
    assert sorted(path.name for path in (tmp_path / "foils").rglob("*")) == ["foils.csv", "no-foil.csv"]
    cli("candidates", tmp_path / "run", "--reimage", tmp_path / "again.csv")
    assert sorted(one["key"] for one in read(tmp_path / "again.csv")) == sorted(ODD_KEYS)


def test_a_foil_can_not_leave_the_folder(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", [row("k", 0.6)])
    (tmp_path / "images.csv").write_text("key,file_comment\nk,real ../../I1126N/../x 3 2 0\n")
    cli("candidates", tmp_path / "run", "--table", tmp_path / "images.csv", "--per-foil", tmp_path / "a/b/foils")
    assert sorted(path.name for path in (tmp_path / "a/b/foils").iterdir()) == ["foils.csv", "no-foil.csv"]


def test_a_column_with_foils_counts_and_its_names_stay_in_the_folder(tmp_path: Path, cli: Cli) -> None:
    keys = ["a/1", "a/2", "I1009N_3", "b/4", "b/5"]
    make_run(tmp_path / "run", [row(key, 0.6) for key in keys])
    table = "key,foil,file_comment\na/1, north ,real I1126N 1 2 0\na/2,../../up,\nI1009N_3,,\nb/4,,real I1126N 7 2 0\n"
    (tmp_path / "images.csv").write_text(table)
    out = tmp_path / "a/b/foils"
    answer = cli("candidates", tmp_path / "run", "--table", tmp_path / "images.csv", "--per-foil", out)
    assert answer.returncode == 0, answer.stderr
    files = {one["foil"]: one["file"] for one in read(out / "foils.csv")}
    assert files == {
        "../../up": "foil-0000.csv", "I1009N": "I1009N.csv", "I1126N": "I1126N.csv", "north": "north.csv",
        "": "no-foil.csv",
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.rglob("*.csv")) == sorted(["images.csv", "foils.csv", *files.values()])
    [north] = read(out / "north.csv")
    assert (north["key"], north["foil"], north["frame"]) == ("a/1", "north", "1")
    [unknown] = read(out / "no-foil.csv")
    assert unknown["key"] == "b/5"


def test_a_table_that_knows_none_of_the_images(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [row("k", 0.6)])
    (tmp_path / "images.csv").write_text("filename,file_comment,score\nother,real I1126N 1 2 0,5\n")
    found = list_candidates(run, 0.5, read_image_table(tmp_path / "images.csv"))
    assert (found["foil"].to_pylist(), found["table_score"].to_pylist()) == ([None], [None])
    assert reimaging_list(found).num_rows == 1


def test_no_candidates_make_an_empty_list(tmp_path: Path, images: Path) -> None:
    run = make_run(tmp_path / "run", [row("k1", 0.1)])
    found = list_candidates(run, 0.5, read_image_table(images))
    write_csv(found, tmp_path / "empty.csv")
    assert read(tmp_path / "empty.csv") == []
    assert reimaging_list(found).num_rows == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a,b\n1,2\n", "needs a column named key"),
        ("", "cannot be read as CSV"),
        ("key,b\n1\n", "cannot be read as CSV"),
    ],
)
def test_image_tables_that_are_none(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "images.csv").write_text(content)
    with pytest.raises(UsageError, match=why):
        read_image_table(tmp_path / "images.csv")
    with pytest.raises(UsageError, match="no image table"):
        read_image_table(tmp_path / "absent.csv")
