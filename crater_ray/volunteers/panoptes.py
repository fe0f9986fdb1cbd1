"""Zooniverse: subject sets as its platform, Panoptes, takes them.

Sources: help.zooniverse.org (manifests, pictures, feedback, data exports) and the descriptions of the feedback
strategies in the code of its front end, as of 2026. Names of manifest columns that begin with `#` are never shown to
volunteers; the feedback tool reads `#feedback_N_...` and compares with what is entered.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa

from crater_ray.volunteers.pictures import View
from crater_ray.volunteers.subjects import BLANK, CANDIDATE, CRATER

MOST_BYTES = 1_000_000
"""Of a picture: the platform takes 1,000 kB."""
MOST_OF_A_SET = 1_000
"""Subjects of one manifest: what may be uploaded in a browser at once."""
MOST_OF_AN_ACCOUNT = 10_000
"""Subjects that an account may upload before it has to ask for more."""
ANSWERS = ("crater", "not", "unsure")
"""Verdicts in the order of the question's answers: the feedback tool knows an answer by its place, from 0."""
QUESTION_RULE, MARK_RULE, EMPTY_RULE = "1", "2", "3"
"""Ids of the feedback rules: of the question; of the mark at a crater; of no mark where there is none."""
SUBJECT = "#subject"
TRAINING = "#training_subject"
NEAR = 8.0
"""Pixels of the image, and half of the crater's diameter, from its centre within which a mark counts as on it."""
MANIFEST = "manifest.csv"
GUIDE = "read-me.txt"


def columns(feedback: bool, foils: bool, sizes: bool) -> list[str]:
    """The columns of a manifest.

    Args:
        feedback: whether the feedback tool is told the answers of gold standards.
        foils, sizes: whether foils, and the size of a pixel, are known of any subject.
    """
    names = ["image", SUBJECT]
    names += ["foil"] * foils + ["nm per pixel"] * sizes
    if feedback:
        names += [TRAINING, "#feedback_1_id", "#feedback_1_answer", "#feedback_2_id", "#feedback_2_x", "#feedback_2_y"]
        names += ["#feedback_2_tolerance", "#feedback_3_id"]
    return names


def manifest_row(subject: dict[str, Any], feedback: bool) -> dict[str, str]:
    """One subject of a manifest, by column; what it does not have is left out.

    Args:
        subject: as `crater_ray.volunteers.subjects.SCHEMA` has it.
        feedback: see `columns`.
    """
    row = {"image": subject["file"], SUBJECT: subject["subject"], "foil": subject["foil"] or ""}
    if subject["nm_per_pixel"]:
        row["nm per pixel"] = f"{subject['nm_per_pixel']:.4g}"
    if not feedback or subject["kind"] == CANDIDATE:
        return row
    right = ANSWERS.index("crater" if subject["kind"] == CRATER else "not")
    row |= {TRAINING: "true", "#feedback_1_id": QUESTION_RULE, "#feedback_1_answer": str(right)}
    if subject["kind"] == BLANK:
        return row | {"#feedback_3_id": EMPTY_RULE}
    view = View(subject["left"], subject["top"], subject["zoom"])
    x, y = view.to_picture(subject["x"], subject["y"])
    tolerance = (NEAR + subject["diameter"] / 2) * subject["zoom"]
    row |= {"#feedback_2_id": MARK_RULE, "#feedback_2_x": f"{x:.1f}", "#feedback_2_y": f"{y:.1f}"}
    return row | {"#feedback_2_tolerance": f"{tolerance:.1f}"}


def write_sets(subjects: pa.Table, folder: Path, feedback: bool) -> list[Path]:
    """Put subjects, whose pictures lie in a folder, into sets of a manifest and its pictures.

    Args:
        subjects: schema `crater_ray.volunteers.subjects.SCHEMA`.
        folder: has the pictures; gets `set-01`, `set-02`, ... with them.
        feedback: see `columns`.

    Returns:
        The manifests.
    """
    foils = any(subjects["foil"].to_pylist())
    sizes = subjects["nm_per_pixel"].null_count < subjects.num_rows
    manifests = []
    for number, start in enumerate(range(0, subjects.num_rows, MOST_OF_A_SET), start=1):
        one = folder / f"set-{number:02d}"
        one.mkdir()
        with (one / MANIFEST).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns(feedback, foils, sizes), extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            for subject in subjects.slice(start, MOST_OF_A_SET).to_pylist():
                writer.writerow(manifest_row(subject, feedback))
                (folder / subject["file"]).rename(one / subject["file"])
        manifests.append(one / MANIFEST)
    return manifests


def guide(subjects: pa.Table, sets: int, run: str, feedback: bool) -> str:
    """How to set the project up, as text."""
    kinds = subjects["kind"].to_pylist()
    gold = len(kinds) - kinds.count(CANDIDATE)
    lines = [
        f"Subjects for Zooniverse, made by crater-ray of the run {run}.",
        "",
        f"{len(kinds):,} subjects in {sets} sets: {kinds.count(CANDIDATE):,} candidates and {gold:,} gold standards.",
        "Upload each folder set-NN as a subject set: in the Project Builder by selecting all of its files, or with",
        "  panoptes subject-set upload-subjects SUBJECT_SET_ID set-01/manifest.csv",
        "",
        "The workflow:",
        "1. A question with one answer, required: Is there an impact crater in this picture? Its answers, in order:",
        "     Crater / Not a crater / Unsure",
        "2. If you want places: a drawing task with one tool, a point, to mark the crater's centre, after the answer",
        "   Crater.",
    ]
    if feedback:
        lines += [
            "",
            "Feedback (ask contact@zooniverse.org to have it enabled), rules by id:",
            f"  {QUESTION_RULE}  at the question, strategy Single Answer Question",
            f"  {MARK_RULE}  at the drawing task, strategy Radial",
            f"  {EMPTY_RULE}  at the drawing task, strategy Dud, if everyone comes to that task",
            "Gold standards are also marked #training_subject = true. Volunteers do not see columns that begin with #,",
            "but who asks the platform for a subject's metadata can. Export with --no-feedback to have gold standards",
            "that nobody can tell.",
        ]
    if len(kinds) > MOST_OF_AN_ACCOUNT:
        lines += ["", f"An account may upload {MOST_OF_AN_ACCOUNT:,} subjects: ask contact@zooniverse.org for more."]
    lines += [
        "",
        "The way back: in the Project Builder request the workflow's classification export, then",
        f"  crater-ray import zooniverse {run} CLASSIFICATIONS.csv --csv verdicts.csv",
        f"  crater-ray review {run} verdicts.csv",
        "",
        "subjects.csv says which subject is which image. Do not upload it.",
        "",
    ]
    return "\n".join(lines)
