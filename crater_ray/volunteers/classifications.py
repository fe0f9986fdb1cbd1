"""The way back: a classification export of Zooniverse's platform as verdicts that `review` takes.

The export is a CSV with a line for each classification; what was answered, and what the subject was uploaded with,
stand in it as JSON. Which image a subject is, the run itself has kept.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.storage.errors import explain
from crater_ray.volunteers.panoptes import ANSWERS, NEAR, SUBJECT
from crater_ray.volunteers.pictures import View
from crater_ray.volunteers.subjects import CANDIDATE, CRATER

COLUMNS = (
    "classification_id",
    "user_name",
    "user_id",
    "user_ip",
    "workflow_id",
    "workflow_name",
    "workflow_version",
    "created_at",
    "gold_standard",
    "expert",
    "metadata",
    "annotations",
    "subject_data",
    "subject_ids",
)
"""Of a classification export, as the platform documents them."""
NEEDED = ("user_name", "workflow_id", "created_at", "annotations", "subject_data")
WORDS = {
    "crater": ("crater", "yes", "a crater", "impact crater"),
    "not": ("not a crater", "no", "no crater", "not"),
    "unsure": ("unsure", "not sure", "maybe", "i don't know", "don't know", "can't tell"),
}
"""Answers that are understood unasked, whatever their case."""
WHO = "zooniverse:"
"""Stands before a volunteer's name: a volunteer may have the name of a reviewer."""
VERDICT_COLUMNS = ("key", "verdict", "reviewer", "when", "x", "y")
GOLD_COLUMNS = ("subject", "reviewer", "when", "truth", "verdict", "x", "y", "true_x", "true_y", "diameter", "key")


@dataclass
class Read:
    """What an export says.

    Attributes:
        verdicts: on candidates, by column of `VERDICT_COLUMNS`.
        gold: on gold standards, by column of `GOLD_COLUMNS`. They are no verdicts on images of the run.
        passed_over: why classifications are in neither: how many by reason.
    """

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    gold: list[dict[str, Any]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def recognised(self, truth: str) -> tuple[int, int]:
        """Of the classifications of gold standards of this truth that are sure, how many are right, and how many."""
        sure = [one for one in self.gold if one["truth"] == truth and one["verdict"] != "unsure"]
        return sum(one["verdict"] == truth for one in sure), len(sure)


def read_answers(texts: Sequence[str]) -> dict[str, str]:
    """Verdicts by answer in small letters: those of `WORDS`, and what a project calls them.

    Args:
        texts: such as `Impact!=crater`.

    Raises:
        UsageError: one of them is not of this form.
    """
    known = {word: verdict for verdict, words in WORDS.items() for word in words}
    for text in texts:
        answer, _, verdict = text.rpartition("=")
        if not answer.strip() or verdict.strip() not in ANSWERS:
            raise UsageError(f"--answer must be TEXT=VERDICT with one of {', '.join(ANSWERS)}; received: {text!r}")
        known[_plain(answer)] = verdict.strip()
    return known


def read_classifications(
    path: Path, subjects: Mapping[str, Mapping[str, Any]], answers: Mapping[str, str], workflow: str | None = None
) -> Read:
    """Read a classification export.

    Args:
        path: the CSV.
        subjects: as `crater_ray.volunteers.subjects.kept` gives them.
        answers: as `read_answers` gives them.
        workflow: only classifications of the workflow of this id.

    Raises:
        UsageError: the file is no such export.
    """
    read = Read()
    for line in _lines(path):
        if workflow is not None and line["workflow_id"] != workflow:
            read.passed_over["of another workflow"] += 1
            continue
        try:
            annotations, data = json.loads(line["annotations"]), json.loads(line["subject_data"])
            number = next((str(one[SUBJECT]) for one in data.values() if SUBJECT in one), None)
            said = _said(annotations, answers)
            when = _time(line["created_at"])
        except (ValueError, TypeError, AttributeError, RecursionError):
            read.passed_over["not as the platform writes them"] += 1
            continue
        subject = subjects.get(number or "")
        if subject is None:
            read.passed_over["of subjects that are not of this run"] += 1
        elif said is None:
            read.passed_over["with an answer that is not known (see --answer), or none"] += 1
        else:
            _put(read, subject, said, {"reviewer": f"{WHO}{line['user_name']}", "when": when})
    return read


def _put(
    read: Read, subject: Mapping[str, Any], said: tuple[str, list[tuple[float, float]]], who: dict[str, str]
) -> None:
    verdict, marks = said
    view = View(subject["left"], subject["top"], subject["zoom"])
    places = [view.to_image(*mark) for mark in marks] if verdict == "crater" else []
    x, y = _nearest(places, subject["x"], subject["y"])
    row = who | {"verdict": verdict, "key": subject["key"], "x": x, "y": y}
    if subject["kind"] == CANDIDATE:
        read.verdicts.append(row)
        return
    truth = "crater" if subject["kind"] == CRATER else "not"
    if truth == "crater" and x is not None and y is not None:
        far = float(np.hypot(x - subject["x"], y - subject["y"]))
        if far > NEAR + subject["diameter"] / 2:  # something else was taken for the crater
            row["verdict"] = "not"
    true = {"true_x": subject["x"], "true_y": subject["y"], "diameter": subject["diameter"]}
    read.gold.append(row | true | {"subject": subject["subject"], "truth": truth})


def _lines(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)  # annotations may be long
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"{str(path)!r} is no classification export: it has no column {', '.join(missing)}. Request the "
                    "classification export in the Project Builder under Data Exports."
                )
            for line in reader:
                yield {name: line.get(name) or "" for name in NEEDED}
    except FileNotFoundError:
        raise UsageError(f"There is no file {str(path)!r}.") from None
    except OSError as problem:
        raise explain(problem, str(path)) from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"{str(path)!r} is no classification export: {problem}") from None


def _said(annotations: Any, answers: Mapping[str, str]) -> tuple[str, list[tuple[float, float]]] | None:
    """The verdict and the marks (px of the picture) of a classification; None where it answers nothing that is known.

    Without a question, a mark says crater and none says not.
    """
    if not isinstance(annotations, list):
        raise TypeError("annotations are a list")
    tasks = [one for annotation in annotations for one in _tasks(annotation)]
    marks = [mark for task in tasks for mark in _marks(task.get("value"))]
    answered = [task for task in tasks if isinstance(task.get("value"), str | int | float)]
    for task in answered:
        value = task["value"]
        by_place = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(ANSWERS)
        verdict = ANSWERS[value] if by_place else answers.get(_plain(str(value)))
        if verdict is not None:
            return verdict, marks
    drawn = any(isinstance(task.get("value"), list) for task in tasks)
    if answered or not drawn:
        return None
    return ("crater" if marks else "not"), marks


def _tasks(annotation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An annotation, or what a combination of tasks holds."""
    value = annotation.get("value")
    if isinstance(value, list) and value and all(isinstance(one, dict) and "task" in one for one in value):
        yield from value
    else:
        yield annotation


def _marks(value: Any) -> Iterable[tuple[float, float]]:
    for mark in value if isinstance(value, list) else ():
        if isinstance(mark, dict) and all(isinstance(mark.get(name), int | float) for name in "xy"):
            yield float(mark["x"]), float(mark["y"])


def _nearest(places: list[tuple[float, float]], x: float | None, y: float | None) -> tuple[float | None, float | None]:
    """Of marked places that nearest to where the crater should be; the first one where that is not known."""
    if not places:
        return None, None
    if x is None or y is None:
        return places[0]
    return min(places, key=lambda place: float(np.hypot(place[0] - x, place[1] - y)))


def _plain(answer: str) -> str:
    """An answer's words: without the marks of Markdown, pictures and case."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", answer)
    return " ".join(re.sub(r"[*_#`.!?]+", " ", text).lower().split())


def _time(text: str) -> str:
    """The platform's time, as a gallery's page writes times."""
    moment = datetime.strptime(text.strip(), "%Y-%m-%d %H:%M:%S UTC")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def write_rows(rows: list[dict[str, Any]], columns: Sequence[str], path: Path) -> None:
    """Write rows as CSV, columns in this order, nothing for None."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: "" if row.get(name) is None else row[name] for name in columns} for row in rows)
    except OSError as problem:
        raise explain(problem, str(path)) from None
