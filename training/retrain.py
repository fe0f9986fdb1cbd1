"""Retraining: a bundle learns from confirmed craters and false positives, and must prove that it got better."""

from __future__ import annotations

import csv
import glob
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.bundle import Bundle
from crater_ray.decode import Refusal, decode
from crater_ray.errors import UsageError
from training.calibrate import REVIEW_BUDGET, fold_line, platt
from training.compose import table_row
from training.dataset import COLUMNS, DataSet
from training.fit import Data, Settings, fit
from training.intervals import budget_threshold, wilson
from training.scoring import logits, probability

VERDICTS = {"crater": 1, "blank": 0}

MOST_ADDED = 0.5
"""Added images make up at most this part of a training set: few images must not be learnt by heart."""


@dataclass(frozen=True)
class Added:
    """Images with a verdict.

    Attributes:
        pixels: uint8 (n, h, w), cut or mirrored to the size of the training images.
        label: (n,) of 0 and 1.
        keys: their names.
    """

    pixels: np.ndarray
    label: np.ndarray
    keys: tuple[str, ...]


def read_added(folder: Path, verdicts: Path, shape: tuple[int, int]) -> Added:
    """Read images named by a CSV with the columns `key` and `verdict` (crater or blank).

    Args:
        folder: holds `<key>.<suffix>`, or `<key>/<key>-001.<suffix>` as in an archive.
        verdicts: the CSV.
        shape: height and width in pixels that are wanted; images are cut at their middle or continued by mirroring.

    Raises:
        UsageError: a column, an image or a verdict is missing or wrong.
    """
    try:
        with verdicts.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as problem:
        raise UsageError(f"The verdicts {str(verdicts)!r} cannot be read: {problem}") from None
    if not rows or not {"key", "verdict"} <= set(rows[0]):
        raise UsageError(
            f"{str(verdicts)!r} must be a CSV with the columns key and verdict and at least one row; "
            f"received: {list(rows[0]) if rows else 'no rows'}"
        )
    pixels, labels = [], []
    for row in rows:
        if row["verdict"] not in VERDICTS:
            raise UsageError(f"The verdict on {row['key']!r} must be crater or blank; received: {row['verdict']!r}")
        labels.append(VERDICTS[row["verdict"]])
        pixels.append(_fit_shape(_read(folder, row["key"]), shape))
    return Added(np.stack(pixels), np.asarray(labels), tuple(row["key"] for row in rows))


def retrain(
    bundle: Bundle,
    added: Added,
    base: DataSet,
    validation: DataSet,
    test: DataSet,
    settings: Settings,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
) -> tuple[Bundle, dict[str, Any]]:
    """Train a bundle further on its training images and the added ones; compare before and after.

    Args:
        bundle: where to start.
        added: craters and false positives with their verdicts.
        base: whole images of the training split, so that nothing is forgotten.
        validation: held-out whole images: the best epoch, calibration and threshold are chosen on them.
        test: the frozen test set; must share nothing with the others.
        settings: recipe, budget and seed; only whole images are used.
        folder: checkpoint, log and best weights.
        say: is told how it goes.

    Returns:
        The new bundle, and the comparison: recall and false alarms before and after on the test set and on the added
        images, and `better`, false when the test recall fell below the interval of the recall before.
    """
    if test.card.get("split") != "test":
        raise UsageError(f"--test must be of the test split; received: {test.card.get('split')!r}")
    mixed = mix(base, added)
    weights = fit(settings, Data(mixed, validation, mixed, validation), folder, start=bundle.weights, say=say)
    label = validation.column("label")
    logit = logits(weights, bundle.preprocessing, validation)
    slope, offset = platt(label, logit)
    score = probability(slope * logit + offset)
    after = replace(
        bundle,
        weights=fold_line(weights, slope, offset),
        typical_threshold=round(float(np.clip(budget_threshold(score[label == 0], REVIEW_BUDGET), 1e-4, 0.999)), 4),
        trained={**bundle.trained, "retrained": {"from": bundle.id, "added": len(added.label), "seed": settings.seed}},
        figures={},
        name=f"{bundle.name} retrained",
    )
    comparison = compare(bundle, after, added, test)
    return replace(after, figures={"retraining": comparison}), comparison


def compare(before: Bundle, after: Bundle, added: Added, test: DataSet) -> dict[str, Any]:
    """Recall and false alarms of two bundles at their typical thresholds, on a test set and on added images."""
    held = DataSet((added.pixels,), _table(added), {"digest": "added", "split": "added"})
    table: dict[str, Any] = {}
    for name, one in (("before", before), ("after", after)):
        for place, data in (("test", test), ("added", held)):
            label = data.column("label")
            flagged = probability(logits(one.weights, one.preprocessing, data)) >= one.typical_threshold
            table[f"{place} {name}"] = {
                "craters_found": int(flagged[label == 1].sum()),
                "craters": int((label == 1).sum()),
                "false_alarms": int(flagged[label == 0].sum()),
                "blanks": int((label == 0).sum()),
            }
    low, _ = wilson(table["test before"]["craters_found"], table["test before"]["craters"])
    share = table["test after"]["craters_found"] / max(table["test after"]["craters"], 1)
    kept = share >= low
    mistakes = [
        table[f"added {name}"]["craters"]
        - table[f"added {name}"]["craters_found"]
        + table[f"added {name}"]["false_alarms"]
        for name in ("before", "after")
    ]
    return {**table, "recall_kept": kept, "better": bool(kept and mistakes[1] < mistakes[0]), "lowest_recall": low}


def mix(base: DataSet, added: Added) -> DataSet:
    """A data set of the base images and, repeated to a tenth at least and half at most, the added ones."""
    if added.pixels.shape[1:] != base.shape:
        raise UsageError(f"Added images must be {base.shape} pixels; received: {added.pixels.shape[1:]}")
    wanted = max(len(added.label), min(len(base) // 10, int(len(base) * MOST_ADDED)))
    rows = np.resize(np.arange(len(added.label)), wanted)
    table = pa.concat_tables([base.table, _table(added).take(pa.array(rows))])
    card = {**base.card, "digest": f"{base.digest}+{len(added.label)}"}
    return DataSet((*base.shards, added.pixels[rows]), table, card)


def _table(added: Added) -> pa.Table:
    rows = [
        table_row(int(label), source="added", background=key, quality=0)
        for label, key in zip(added.label, added.keys, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))


def _read(folder: Path, key: str) -> np.ndarray:
    exact, name = glob.escape(key), glob.escape(Path(key).name)
    for pattern in (f"{exact}.*", f"{exact}/{name}-*.*", exact):
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                pixels = decode(path.read_bytes())
                if isinstance(pixels, Refusal):
                    raise UsageError(f"{str(path)!r} cannot be read as an image: {pixels.reason}")
                return pixels
    raise UsageError(f"No image for the key {key!r} in {str(folder)!r}.")


def _fit_shape(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    missing = [max(0, wanted - have) for wanted, have in zip(shape, pixels.shape, strict=True)]
    padded = np.pad(pixels, [(m // 2, m - m // 2) for m in missing], mode="symmetric")
    top, left = ((have - wanted) // 2 for have, wanted in zip(padded.shape, shape, strict=True))
    return padded[top : top + shape[0], left : left + shape[1]]


def table(comparison: dict[str, Any]) -> str:
    """The comparison as a Markdown table."""
    lines = ["| images | craters found | false alarms |", "| --- | --- | --- |"]
    for name in ("test before", "test after", "added before", "added after"):
        one = comparison[name]
        found, alarms = f"{one['craters_found']} of {one['craters']}", f"{one['false_alarms']} of {one['blanks']}"
        lines.append(f"| {name} | {found} | {alarms} |")
    return "\n".join(lines)


def verdict(comparison: dict[str, Any]) -> str:
    """Why the new bundle is not called better."""
    if not comparison["recall_kept"]:
        return (
            "The retrained network is not better: its recall on the test set fell below "
            f"{comparison['lowest_recall']:.1%}, the lower end of the 95% interval before. "
            "Give it more images of the base set, fewer added ones, or less time."
        )
    return "The retrained network is not better: it makes as many mistakes on the added images as before."
