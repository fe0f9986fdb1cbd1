"""Subjects for Zooniverse, held against what its pages document, and classifications that come back as verdicts."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.planting.plant import plant
from crater_ray.results.review.verdicts import import_file, read_verdicts
from crater_ray.runs.run import Run, open_existing
from crater_ray.volunteers.classifications import COLUMNS, WHO
from crater_ray.volunteers.export import Chosen, Exported, export_zooniverse
from crater_ray.volunteers.pictures import View
from crater_ray.volunteers.subjects import kept
from tests.conftest import Cli
from tests.volunteers.conftest import CANDIDATES

STRATEGIES = {
    "1": {"id", "answer"},  # Single Answer Question
    "2": {"id", "x", "y", "tolerance"},  # Radial
    "3": {"id"},  # Dud
}
"""By rule, the fields that the feedback tool's descriptions name, of those that are used."""
GOLD = 11


@pytest.fixture(scope="module")
def exported(foil_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_zooniverse(foil_run, tmp_path_factory.mktemp("out") / "zoo", Chosen(gold=GOLD, pixel_nm=50.0))


def manifest(exported: Exported) -> list[dict[str, str]]:
    rows = []
    for path in sorted(exported.out.glob("set-*/manifest.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows += [row | {"folder": str(path.parent)} for row in csv.DictReader(file)]
    return rows


def subjects_of(run: Run, exported: Exported) -> dict[str, dict[str, Any]]:
    """Those of this export; the tests' run has others."""
    export = Path(exported.kept).stem
    return {number: subject for number, subject in kept(run).items() if number.startswith(export)}


def rules(metadata: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the feedback tool reads: `#feedback_N_name`, by N; empty ones are none."""
    found: dict[str, dict[str, str]] = {}
    for name, value in metadata.items():
        parts = name.split("_")
        if parts[0] == "#feedback" and len(parts) == 3 and value:
            found.setdefault(parts[1], {})[parts[2]] = value
    return found


@pytest.mark.slow
def test_sets_are_as_the_platform_takes_them(exported: Exported) -> None:
    rows = manifest(exported)
    assert (exported.candidates, exported.gold, exported.problems) == (CANDIDATES, GOLD, {})
    assert len(rows) == CANDIDATES + GOLD
    assert next(iter(rows[0])) == "image"
    assert len({row["#subject"] for row in rows}) == len(rows)
    for row in rows:
        path = Path(row["folder"], row["image"])
        assert path.stat().st_size <= 1_000_000
        with Image.open(path) as image:
            assert (image.format, image.mode) == ("JPEG", "L")
    for folder in exported.out.glob("set-*"):
        names = {row["image"] for row in rows if row["folder"] == str(folder)}
        assert {path.name for path in folder.iterdir()} == {*names, "manifest.csv"}


def test_what_volunteers_see_does_not_tell_gold_standards(exported: Exported, foil_run: Run) -> None:
    rows, subjects = manifest(exported), subjects_of(foil_run, exported)
    seen = {name for name in rows[0] if not name.startswith(("#", "//", "!")) and name != "folder"}
    assert seen == {"image", "foil", "nm per pixel"}
    kinds = [subjects[row["#subject"]]["kind"] for row in rows]
    assert kinds != sorted(kinds)  # mixed
    by_kind = {kind: [row for row, one in zip(rows, kinds, strict=True) if one == kind] for kind in set(kinds)}
    assert {kind: len(some) for kind, some in by_kind.items()} == {"candidate": CANDIDATES, "crater": 5, "blank": 6}
    for some in by_kind.values():  # every kind is described by the same fields
        assert all(row["foil"] in ("foil0", "foil1") for row in some)
        assert all(row["nm per pixel"] for row in some)
    words = " ".join(value for row in rows for name, value in row.items() if name != "folder")
    assert not any(subject["key"] in words for subject in subjects.values())


def test_gold_standards_have_what_the_feedback_tool_takes(exported: Exported, foil_run: Run) -> None:
    subjects = subjects_of(foil_run, exported)
    for row in manifest(exported):
        subject, told = subjects[row["#subject"]], rules(row)
        for rule, fields in told.items():
            assert set(fields) == STRATEGIES[rule] and fields["id"] == rule
        if subject["kind"] == "candidate":
            assert told == {} and row["#training_subject"] == ""
            continue
        assert row["#training_subject"] == "true"
        assert set(told) == ({"1", "2"} if subject["kind"] == "crater" else {"1", "3"})
        assert told["1"]["answer"] == ("0" if subject["kind"] == "crater" else "1")
        if subject["kind"] == "crater":
            with Image.open(Path(row["folder"], row["image"])) as image:
                x, y, tolerance = (float(told["2"][name]) for name in ("x", "y", "tolerance"))
                assert tolerance < x < image.width - tolerance / 2 or 0 < x < image.width
                assert 0 < y < image.height
            assert tolerance == pytest.approx((8 + subject["diameter"] / 2) * subject["zoom"], abs=0.06)


def test_the_crater_is_where_the_feedback_tool_is_told(foil_run: Run, exported: Exported) -> None:
    """Of what the planting changed in the image, seen in the picture, the middle is at the place given."""
    from crater_ray.completeness.plan import recipe_of
    from crater_ray.images.decode import decode
    from crater_ray.storage.access import Access
    from crater_ray.volunteers.gold import Wanted, gold_standards

    craters, _ = gold_standards(foil_run, Wanted(GOLD // 2, GOLD - GOLD // 2), Access())
    by_key = {row["image"]: row for row in craters}
    rows = {row["#subject"]: row for row in manifest(exported)}
    for subject in subjects_of(foil_run, exported).values():
        if subject["kind"] != "crater":
            continue
        data = Path(subject["uri"].removeprefix("file://")).read_bytes()
        pixels = decode(data)
        assert isinstance(pixels, np.ndarray)
        change = np.abs(plant(pixels, data, recipe_of(by_key[subject["key"]])).change)
        ys, xs = np.nonzero(change > 0.25 * change.max())
        view = View(subject["left"], subject["top"], subject["zoom"])
        middle = view.to_picture((xs.min() + xs.max()) / 2, (ys.min() + ys.max()) / 2)
        told = rules(rows[subject["subject"]])["2"]
        far = math.dist(middle, (float(told["x"]), float(told["y"])))
        assert far <= (2 + subject["diameter"] / 3) * subject["zoom"]


def test_without_feedback_nothing_tells_them(foil_run: Run, tmp_path: Path) -> None:
    rows = manifest(export_zooniverse(foil_run, tmp_path / "zoo", Chosen(gold=4, seed=1), feedback=False))
    assert len(rows) == CANDIDATES + 4
    assert set(rows[0]) == {"image", "#subject", "foil", "folder"}


def classification(number: int, who: str, subject: str, annotations: list[dict[str, Any]], **more: str) -> list[str]:
    """A line of a classification export, as the platform documents it."""
    data = {str(900 + number): {"retired": None, "image": "x.jpg", "#subject": subject, "foil": ""}}
    line = {
        "classification_id": str(number),
        "user_name": who,
        "user_id": "",
        "user_ip": "5f2a",
        "workflow_id": "77",
        "workflow_name": "Craters",
        "workflow_version": "3.14",
        "created_at": f"2026-02-03 04:05:{number % 60:02d} UTC",
        "gold_standard": "",
        "expert": "",
        "metadata": json.dumps({"source": "api", "session": "a", "viewport": {"width": 1000, "height": 700}}),
        "annotations": json.dumps(annotations),
        "subject_data": json.dumps(data),
        "subject_ids": str(900 + number),
    }
    return [(line | more)[name] for name in COLUMNS]


def answered(label: str, *marks: tuple[float, float]) -> list[dict[str, Any]]:
    question = "Is there an impact crater in this picture?"
    drawn = [{"x": x, "y": y, "tool": 0, "frame": 0, "details": [], "tool_label": "Crater"} for x, y in marks]
    said: list[dict[str, Any]] = [{"task": "T0", "task_label": question, "value": label}]
    return [*said, {"task": "T1", "task_label": "Mark it", "value": drawn}] if marks else said


def write_export(path: Path, lines: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(COLUMNS), *lines])
    return path


LABELS = {"crater": "Crater", "not": "**Not a crater**", "unsure": "Unsure"}


def test_classifications_come_back_as_the_same_verdicts(
    foil_run: Run, exported: Exported, tmp_path: Path, cli: Cli
) -> None:
    run = open_existing(shutil.copytree(Path(foil_run.folder.uri.removeprefix("file://")), tmp_path / "run"))
    rng = np.random.default_rng(1)
    expected: dict[tuple[str, str], tuple[str, float | None]] = {}
    lines: list[list[str]] = []
    for subject in subjects_of(run, exported).values():
        for who in ("Ann", "not-logged-in-5f2a"):
            verdict = str(rng.choice(list(LABELS)))
            marks = []
            if verdict == "crater" and subject["x"] is not None:
                view = View(subject["left"], subject["top"], subject["zoom"])
                marks = [(1.0, 1.0), view.to_picture(subject["x"] + 1, subject["y"])]
            lines.append(classification(len(lines), who, subject["subject"], answered(LABELS[verdict], *marks)))
            if subject["kind"] == "candidate":
                expected[subject["key"], WHO + who] = verdict, subject["x"] + 1 if marks else None
    path = write_export(tmp_path / "craters-classifications.csv", lines)
    answer = cli(
        "import", "zooniverse", run.folder.uri, path, "--csv", tmp_path / "v.csv", "--gold", tmp_path / "g.csv"
    )
    assert answer.returncode == 0, answer.stderr
    assert f"{2 * CANDIDATES} verdicts by 2 volunteers on {CANDIDATES} images" in answer.stdout
    assert import_file(run, tmp_path / "v.csv") == 2 * CANDIDATES
    came = {(one.key, one.reviewer): (one.verdict, one.x) for one in read_verdicts(run)}
    assert set(came) == set(expected)
    for at, (verdict, x) in expected.items():
        assert came[at] == (verdict, None if x is None else pytest.approx(x, abs=1e-6))
    with (tmp_path / "g.csv").open(newline="") as file:
        gold = list(csv.DictReader(file))
    assert len(gold) == 2 * GOLD
    assert {one["key"] for one in gold}.isdisjoint({key for key, _ in came})
    assert "gold standards:" in answer.stdout


def test_a_gold_standard_counts_by_the_place_that_was_marked(foil_run: Run, exported: Exported, tmp_path: Path) -> None:
    from crater_ray.volunteers.classifications import read_answers, read_classifications

    subjects = subjects_of(foil_run, exported)
    crater = next(one for one in subjects.values() if one["kind"] == "crater")
    view = View(crater["left"], crater["top"], crater["zoom"])
    near, far = view.to_picture(crater["x"] + 3, crater["y"]), view.to_picture(crater["x"] + 60, crater["y"])
    said = [answered("Crater", near), answered("Crater", far), answered("crater"), answered("Not a crater")]
    lines = [classification(number, f"v{number}", crater["subject"], one) for number, one in enumerate(said)]
    read = read_classifications(write_export(tmp_path / "c.csv", lines), subjects, read_answers(()))
    assert [one["verdict"] for one in read.gold] == ["crater", "not", "crater", "not"]
    assert (read.recognised("crater"), read.verdicts) == ((2, 4), [])


def test_what_cannot_be_taken_is_counted(foil_run: Run, exported: Exported, tmp_path: Path, cli: Cli) -> None:
    subject = next(one["subject"] for one in subjects_of(foil_run, exported).values() if one["kind"] == "candidate")
    drawn = {"task": "T1", "task_label": "Mark it"}
    combo = [{"task": "T5", "task_label": None, "value": answered("yes")}]
    lines = [
        classification(0, "a", subject, answered("Impact!")),
        classification(1, "b", subject, answered("Pit")),
        classification(2, "c", "0123456789ab-000001", answered("Crater")),
        classification(3, "d", subject, [], subject_data="{"),
        classification(4, "e", subject, answered("Crater"), workflow_id="78"),
        classification(5, "f", subject, [drawn | {"value": []}]),
        classification(6, "g", subject, combo),
        classification(7, "h", subject, [{"task": "T0", "value": 1}]),
        classification(8, "i", subject, [{"task": "T0", "value": None}]),
    ]
    path = write_export(tmp_path / "c.csv", lines)
    options = ["--csv", tmp_path / "v.csv", "--answer", "impact=crater", "--workflow", "77"]
    answer = cli("import", "zooniverse", foil_run.folder.uri, path, *options)
    assert answer.returncode == 0, answer.stderr
    with (tmp_path / "v.csv").open(newline="") as file:
        said = {one["reviewer"].removeprefix(WHO): one["verdict"] for one in csv.DictReader(file)}
    assert said == {"a": "crater", "f": "not", "g": "crater", "h": "not"}
    for count, reason in (
        (2, "answer that is not known"),
        (1, "not of this run"),
        (1, "not as the"),
        (1, "another wor"),
    ):
        assert any(
            line.startswith(f"{count} classifications") and reason in line for line in answer.stdout.splitlines()
        )


def test_mistakes_are_said(foil_run: Run, tmp_path: Path, cli: Cli) -> None:
    with pytest.raises(UsageError, match="too few for 40 and 40 gold standards"):
        export_zooniverse(foil_run, tmp_path / "zoo", Chosen(gold=80))
    assert not (tmp_path / "zoo").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        export_zooniverse(foil_run, tmp_path / "full", Chosen())
    with pytest.raises(UsageError, match="nothing to show"):
        export_zooniverse(foil_run, tmp_path / "zoo", Chosen(threshold=1.0))
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    export_zooniverse(foil_run, tmp_path / "zoo", Chosen(most=2))
    answer = cli("import", "zooniverse", foil_run.folder.uri, tmp_path / "c.csv", "--csv", tmp_path / "v.csv")
    assert (answer.returncode, "no classification export" in answer.stderr) == (2, True)
    answer = cli("export", "zooniverse", foil_run.folder.uri, tmp_path / "o", "--budget", "3", "--threshold", "0.1")
    assert answer.returncode == 2


def test_the_same_export_has_the_same_numbers(foil_run: Run, tmp_path: Path) -> None:
    first, second = (export_zooniverse(foil_run, tmp_path / name, Chosen(gold=3, most=5)) for name in ("a", "b"))
    assert first.kept == second.kept
    texts = [(one.out / "set-01" / "manifest.csv").read_text() for one in (first, second)]
    assert texts[0] == texts[1]
    assert export_zooniverse(foil_run, tmp_path / "c", Chosen(gold=3, most=5, seed=1)).kept != first.kept
