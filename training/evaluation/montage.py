"""Pictures of what a bundle finds and misses on a trial, by diameter, and of what it takes for craters."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.evaluation.intervals import budget_threshold
from training.evaluation.judge import EDGES, Answers
from training.evaluation.trials import Trial

CUT, SHOWN = 64, 96
"""Side of a cut-out in the image and on the page, px."""
GAP, LINE = 4, 14


def draw_montage(trial: Trial, answers: Answers, out: Path, budget: float = 0.04, each: int = 4) -> Path:
    """Write a picture: for each range of diameters some craters that were found and some that were missed, and alarms.

    Args:
        trial: the images and the truth.
        answers: what the bundle says of them.
        out: the picture to write, PNG.
        budget: share of the blanks that the threshold lets through.
        each: cut-outs a row; craters as they come, alarms from the highest score down.
    """
    label, diameter = trial.label, trial.truth[:, 2]
    threshold = budget_threshold(answers.score[label == 0], budget)
    hit = answers.score >= threshold
    rows: list[tuple[str, list[tuple[np.ndarray, str]]]] = []
    for low, high in pairwise(EDGES):
        inside = (label == 1) & (diameter >= low) & (diameter < high)
        for name, chosen in (("found", inside & hit), ("missed", inside & ~hit)):
            count = f"{int(chosen.sum())} of {int(inside.sum())}"
            cuts = [_crater(trial, row) for row in np.flatnonzero(chosen)[:each]]
            rows.append((f"{low:g}-{high:g} px, {name}: {count}", cuts))
    blanks = np.flatnonzero((label == 0) & hit)
    alarms = blanks[np.argsort(-answers.score[blanks])][:each]
    cuts = [_alarm(trial, answers, int(row)) for row in alarms]
    rows.append((f"taken for craters: {len(blanks)} of {int((label == 0).sum())}", cuts))
    picture = _page(rows, each)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out, optimize=True)
    return out


def _crater(trial: Trial, row: int) -> tuple[np.ndarray, str]:
    x, y, diameter, ratio = trial.truth[row].tolist()
    return _cut(trial.images[row], x, y), f"{diameter:.0f} px, {ratio:.0f} sigma"


def _alarm(trial: Trial, answers: Answers, row: int) -> tuple[np.ndarray, str]:
    x, y, diameter = answers.place[row].tolist()
    height, width = trial.images[row].shape
    placed = np.isfinite(x)
    cut = _cut(trial.images[row], x if placed else width / 2, y if placed else height / 2)
    return cut, f"{diameter:.0f} px" if placed and np.isfinite(diameter) else ""


def _cut(image: np.ndarray, x: float, y: float) -> np.ndarray:
    height, width = image.shape
    left, top = (min(max(round(at) - CUT // 2, 0), length - CUT) for at, length in ((x, width), (y, height)))
    return image[top : top + CUT, left : left + CUT]


def _page(rows: list[tuple[str, list[tuple[np.ndarray, str]]]], each: int) -> Image.Image:
    """Two rows side by side, found and missed; the last alone."""
    wide = each * (SHOWN + GAP) + GAP
    high = SHOWN + 2 * LINE + GAP
    page = Image.new("L", (2 * wide, high * -(-len(rows) // 2)), 255)
    draw = ImageDraw.Draw(page)
    for number, (title, cuts) in enumerate(rows):
        left, top = wide * (number % 2) + GAP, high * (number // 2)
        draw.text((left, top), title, fill=0)
        for place, (cut, text) in enumerate(cuts):
            shown = Image.fromarray(cut).resize((SHOWN, SHOWN), Image.Resampling.NEAREST)
            page.paste(shown, (left + place * (SHOWN + GAP), top + LINE))
            draw.text((left + place * (SHOWN + GAP), top + LINE + SHOWN), text, fill=0)
    return page
