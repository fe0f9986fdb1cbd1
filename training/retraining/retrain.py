"""Retraining: a bundle learns from confirmed craters and false positives, and must prove that it got better.

All layers learn the truth from the added images, and from the ordinary ones to go on saying what the network said of
them (learning without forgetting: Li and Hoiem 2016, arXiv 1606.09282): it knows more of such images than the truth
about a few of them could teach.

A quarter of the added images is held out. They and the validation set together choose among what was tried, the
weights as they were included. Tried are also weights part of the way from before the training of all layers to after
it: a short training on few images overshoots, and such weights forget less (Wortsman et al. 2022, arXiv 2109.01903).
Verdicts are too few to leave a quarter of them unlearnt: where a training of all layers was chosen, it is done again
with all of them, and as far of the way is gone. Whether the result is better is judged on a test set that had no part
in this.
"""

from __future__ import annotations

import csv
import glob
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.decode import decode
from crater_ray.images.status import Refusal
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import TILE, Weights
from training.data_sets.compose import table_row
from training.data_sets.dataset import ADDED, COLUMNS, DataSet
from training.evaluation.intervals import budget_threshold, wilson
from training.fitting.calibrate import REVIEW_BUDGET, fold_line, platt
from training.fitting.fit import Data, Settings, fit
from training.network.scoring import head, logits, pooled, probability
from training.retraining.dense_layers import HeadSettings, Pool, fit_head, held_out_loss

VERDICTS = {"crater": 1, "blank": 0}

ADDED_SHARE = 1 / 2
"""Part of the training set that added images, repeated, make up; the others keep what is known."""

AS_IT_WAS = "as it was"
DENSE_LAYERS = "dense layers"
ALL_LAYERS = "all layers"

PARTS_OF_THE_WAY = (0.25, 0.5, 0.75)
"""From the weights that the training of all layers began with to those that it ended with."""

BATCH_WHOLE = 4
"""Whole images in a batch, or as many smaller ones as have their area: a short training needs many small steps."""

HELD_OUT = 4
"""One of so many added images is not trained on until it has helped to choose."""

JUDGED_DIAMETER = 20.0
"""In px, of a crater of which only the place is known: between the smallest and the largest that are looked for."""

Layers = Literal["dense", "all"]


@dataclass(frozen=True)
class Added:
    """Images with a verdict.

    Attributes:
        pixels: uint8 (n, h, w), cut or mirrored to the size of the training images.
        label: (n,) of 0 and 1.
        keys: their names.
        places: (n, 2) float32 x and y of what was judged in `pixels`, in px; not a number where it is not known.
    """

    pixels: np.ndarray
    label: np.ndarray
    keys: tuple[str, ...]
    places: np.ndarray

    def take(self, rows: np.ndarray) -> Added:
        """The images of these rows."""
        keys = tuple(self.keys[row] for row in rows)
        return Added(self.pixels[rows], self.label[rows], keys, self.places[rows])

    def split(self) -> tuple[Added, Added]:
        """Those to train on and those held out: of each label every fourth, in an order that only keys decide.

        Of fewer than four none is held out; where that leaves none at all, all serve for both.
        """
        held: list[int] = []
        for label in (0, 1):
            rows = np.flatnonzero(self.label == label)
            by_name = sorted(rows.tolist(), key=lambda row: zlib.crc32(self.keys[row].encode()))
            held += by_name[HELD_OUT - 1 :: HELD_OUT]
        if not held:
            return self, self
        rest = np.setdiff1d(np.arange(len(self.label)), held)
        return self.take(rest), self.take(np.sort(np.asarray(held)))


def read_added(folder: Path, verdicts: Path, shape: tuple[int, int]) -> Added:
    """Read images named by a CSV with the columns `key` and `verdict` (crater or blank); `x`, `y` too, if it has them.

    Args:
        folder: holds `<key>.<suffix>`, or `<key>/<key>-001.<suffix>` as in an archive.
        verdicts: the CSV.
        shape: height and width in pixels that are wanted; images are cut around x, y, so that what was judged is in
            them, or else at their middle; small ones are continued by mirroring.

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
    pixels, labels, places = [], [], []
    for row in rows:
        if row["verdict"] not in VERDICTS:
            raise UsageError(f"The verdict on {row['key']!r} must be crater or blank; received: {row['verdict']!r}")
        labels.append(VERDICTS[row["verdict"]])
        image, place = _fit_shape(_read(folder, row["key"]), shape, _place(row))
        pixels.append(image)
        places.append(place)
    keys = tuple(row["key"] for row in rows)
    return Added(np.stack(pixels), np.asarray(labels), keys, np.asarray(places, np.float32))


def retrain(
    bundle: Bundle,
    added: Added,
    base: DataSet,
    validation: DataSet,
    test: DataSet,
    settings: Settings,
    folder: Path,
    *,
    layers: Layers = "all",
    head_settings: HeadSettings = HeadSettings(),
    say: Callable[[str], None] = print,
) -> tuple[Bundle, dict[str, Any]]:
    """Train a bundle further on its training images and the added ones; compare before and after.

    Args:
        bundle: where to start.
        added: craters and false positives with their verdicts.
        base: whole images of the training split, so that nothing is forgotten.
        validation: held-out whole images: the best epoch, calibration and threshold are chosen on them.
        test: the frozen test set; must share nothing with the others.
        settings: recipe, budget and seed, for all layers; only whole images are used. Both trainings share the budget.
        folder: checkpoint, log and best weights of each.
        layers: `dense` fits the dense layers alone, in seconds; `all` then goes on with the whole network.
        head_settings: how the dense layers are fitted.
        say: is told how it goes.

    Returns:
        The new bundle, and the comparison: recall and false alarms before and after on the test set and on the added
        images, the held-out losses of what was tried and what was chosen, and `better`: false when that is the network
        as it was, or when the test recall fell below the interval of the recall before.
    """
    if test.card.get("split") != "test":
        raise UsageError(f"--test must be of the test split; received: {test.card.get('split')!r}")
    if len(added.label) == 0:
        raise UsageError("There is no image to learn from: the verdicts name none.")
    learnt, held = added.split()
    judged = _pools(bundle.weights, bundle, validation, held)
    dense = _fit_dense(bundle, base, learnt, judged, head_settings)
    tried = {AS_IT_WAS: (bundle.weights, judged), DENSE_LAYERS: (dense, judged)}
    parts = {f"{part:.0%} of the way to {ALL_LAYERS}": part for part in PARTS_OF_THE_WAY} | {ALL_LAYERS: 1.0}
    half = replace(settings, minutes=settings.minutes / 2, megapixels=settings.megapixels and settings.megapixels / 2)

    def taught(some: Added, name: str) -> Weights:
        mixed = mix(base, some)
        data = Data(mixed, validation, mixed, validation)
        return fit(half, data, folder / name, start=dense, kept=bundle, say=say)

    if layers == "all":
        fitted = taught(learnt, "held-out")
        for name, part in parts.items():
            weights = _between(dense, fitted, part)
            tried[name] = weights, _pools(weights, bundle, validation, held)
    whole = validation.shape == TILE  # the scores of crops are no scale for those of whole images
    losses = {name: _calibrated_loss(*one) if whole else held_out_loss(*one) for name, one in tried.items()}
    chosen = min(losses, key=lambda name: losses[name])
    say("held-out loss: " + ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()) + f"; kept: {chosen}")
    weights = tried[chosen][0]
    if chosen in parts:
        say("now with all judged images")
        weights = _between(dense, taught(added, "all"), parts[chosen])
    facts = {"from": bundle.id, "added": len(added.label), "layers": layers, "seed": settings.seed}
    # Figures and screen are those of the old network.
    after = replace(
        bundle,
        weights=weights,
        screen=None,
        trained={**bundle.trained, "retrained": facts},
        figures={},
        name=f"{bundle.name} retrained",
    )
    if whole and chosen != AS_IT_WAS:
        after = _calibrated(after, validation)
    comparison = compare(bundle, after, added, test) | {"held_out_loss": losses, "chosen": chosen}
    comparison["better"] = chosen != AS_IT_WAS and comparison["recall_kept"]
    return replace(after, figures={"retraining": comparison}), comparison


def _between(first: Weights, second: Weights, part: float) -> Weights:
    return {name: value + np.float32(part) * (second[name] - value) for name, value in first.items()}


def _fit_dense(
    bundle: Bundle, base: DataSet, learnt: Added, judged: tuple[Pool, ...], settings: HeadSettings
) -> Weights:
    train = _pools(bundle.weights, bundle, base, learnt)
    return fit_head(bundle.weights, train, judged, settings)[0]


def _pools(weights: Weights, bundle: Bundle, data: DataSet, added: Added) -> tuple[Pool, Pool]:
    """A data set and added images as the dense layers see them."""
    first, second = (
        Pool(pooled(weights, bundle.preprocessing, one), one.column("label")) for one in (data, _data(added))
    )
    return first, second


def _calibrated_loss(weights: Weights, judged: tuple[Pool, ...]) -> float:
    """The held-out loss after calibration on the first pool: an unsure network must not win by its modesty."""
    line = platt(judged[0].label, head(weights, judged[0].peaks))
    return held_out_loss(fold_line(weights, *line), judged)


def _calibrated(bundle: Bundle, validation: DataSet) -> Bundle:
    """The bundle with its scores calibrated, and its threshold chosen, on held-out whole images."""
    label = validation.column("label")
    logit = logits(bundle.weights, bundle.preprocessing, validation)
    slope, offset = platt(label, logit)
    score = probability(slope * logit + offset)
    threshold = round(float(np.clip(budget_threshold(score[label == 0], REVIEW_BUDGET), 1e-4, 0.999)), 4)
    return replace(bundle, weights=fold_line(bundle.weights, slope, offset), typical_threshold=threshold)


def compare(before: Bundle, after: Bundle, added: Added, test: DataSet) -> dict[str, Any]:
    """Recall and false alarms of two bundles at their typical thresholds, on a test set and on added images."""
    held = _data(added)
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
    return {**table, "recall_kept": kept, "lowest_recall": low}


def mix(base: DataSet, added: Added) -> DataSet:
    """A data set of the base images and the added ones, these repeated to make up `ADDED_SHARE` of it, or each once."""
    if added.pixels.shape[1:] != base.shape:
        raise UsageError(f"Added images must be {base.shape} pixels; received: {added.pixels.shape[1:]}")
    wanted = max(len(added.label), int(len(base) * ADDED_SHARE / (1 - ADDED_SHARE)))
    rows = np.resize(np.arange(len(added.label)), wanted)
    table = pa.concat_tables([base.table, _table(added).take(pa.array(rows))])
    card = {**base.card, "digest": f"{base.digest}+{len(added.label)}"}
    return DataSet((*base.shards, added.pixels[rows]), table, card)


def _data(added: Added) -> DataSet:
    return DataSet((added.pixels,), _table(added), {"digest": "added", "split": "added"})


def _table(added: Added) -> pa.Table:
    rows = []
    for label, key, (x, y) in zip(added.label, added.keys, added.places.tolist(), strict=True):
        rows.append(table_row(int(label), source=ADDED, background=key, quality=0))
        if label and np.isfinite(x):  # then each position of the network's map learns what it should say
            rows[-1] |= {"x": x, "y": y, "diameter_px": JUDGED_DIAMETER}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(COLUMNS.items())))


def _read(folder: Path, key: str) -> np.ndarray:
    # A key is data: whatever it says, only what lies in the folder is read.
    if Path(key).is_absolute() or ".." in Path(key).parts:
        raise UsageError(f"The key {key!r} leads out of {str(folder)!r}.")
    exact, name = glob.escape(key), glob.escape(Path(key).name)
    for pattern in (f"{exact}.*", f"{exact}/{name}-*.*", exact):
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                pixels = decode(path.read_bytes())
                if isinstance(pixels, Refusal):
                    raise UsageError(f"{str(path)!r} cannot be read as an image: {pixels.reason}")
                return pixels
    raise UsageError(f"No image for the key {key!r} in {str(folder)!r}.")


def _place(row: dict[str, str]) -> tuple[float, float] | None:
    """Row and column of what was judged, in px, where the verdict says so."""
    if not row.get("x") or not row.get("y"):
        return None
    try:
        return float(row["y"]), float(row["x"])
    except ValueError:
        raise UsageError(
            f"The place of {row['key']!r} must be two numbers, in pixels; received: {row['x']!r}, {row['y']!r}"
        ) from None


def _fit_shape(
    pixels: np.ndarray, shape: tuple[int, int], place: tuple[float, float] | None
) -> tuple[np.ndarray, tuple[float, float]]:
    """An image cut or continued to a shape, and x and y there of the row and column that were judged."""
    missing = [max(0, wanted - have) for wanted, have in zip(shape, pixels.shape, strict=True)]
    padded = np.pad(pixels, [(m // 2, m - m // 2) for m in missing], mode="symmetric")
    middle = place or tuple((have - 1) / 2 for have in pixels.shape)
    top, left = (
        min(max(0, round(at + m // 2 - (wanted - 1) / 2)), have - wanted)
        for at, m, have, wanted in zip(middle, missing, padded.shape, shape, strict=True)
    )
    x, y = (np.nan, np.nan)
    if place is not None:
        y, x = place[0] + missing[0] // 2 - top, place[1] + missing[1] // 2 - left
    return padded[top : top + shape[0], left : left + shape[1]], (x, y)


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
    return "The retrained network is not better: none that was tried did better on the held-out images."
