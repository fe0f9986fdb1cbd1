"""Evaluation: bundles and older methods on the same frozen test sets; JSON, a Markdown table and plots."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle, load
from training.data_sets.dataset import DataSet
from training.evaluation.measures import measure
from training.evaluation.plots import plot
from training.evaluation.tables import markdown, share


@dataclass(frozen=True)
class Contender:
    """Something that scores images.

    Attributes:
        name: what the table calls it.
        score: from a data set to one score an image, (n,) float64.
        typical: its recommended threshold, when its scores are probabilities.
        about: what else the report should say of it.
    """

    name: str
    score: Callable[[DataSet], np.ndarray]
    typical: float | None
    about: dict[str, Any]


def of_bundle(bundle: Bundle) -> Contender:
    """A network as a contender."""
    from training.network.scoring import bundle_logits, probability

    def score(data: DataSet) -> np.ndarray:
        return probability(bundle_logits(bundle, data)[0])

    about = {"bundle": bundle.id, "typical_threshold": bundle.typical_threshold, "trained": bundle.trained}
    return Contender(f"{bundle.name} ({bundle.id})", score, bundle.typical_threshold, about)


def write_card(folder: Path, results: dict[str, Any]) -> None:
    """Put the figures of an evaluation into the card of the bundle in `folder`, beside those it has."""
    bundle = load(folder)
    mine = results["figures"][of_bundle(bundle).name]
    replace(bundle, figures={**bundle.figures, "evaluation": {"sets": results["sets"], **mine}}).save(folder)


def evaluate(
    contenders: Sequence[Contender],
    sets: dict[str, DataSet],
    folder: Path,
    *,
    limit: int | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure every contender on every set and write report.json, report.md, scores.npz and plots.

    Args:
        contenders: bundles and older methods.
        sets: test sets by name.
        folder: where the report goes.
        limit: use only that many images of each set, from its beginning.
        say: is told one line for each contender and set.

    Raises:
        UsageError: nothing to compare, a set was made for training, or it has only craters or only blanks.
    """
    if not contenders or not sets:
        raise UsageError("Nothing to evaluate: give at least one --bundle or --older and one --set.")
    for name, data in sets.items():
        label = data.column("label")
        if data.card.get("split") != "test":
            raise UsageError(
                f"The set {name!r} was made from the split {data.card.get('split')!r}: its seed craters or "
                "backgrounds may have been trained on. Make test sets with `synthesize --split test`."
            )
        if data.card.get("shared"):
            raise UsageError(
                f"The set {name!r} has the seed craters and frames of its training, as the original's test had: only "
                "`python -m training reproduce` measures on it. Make test sets with `synthesize --split test`."
            )
        if not (label == 1).any() or not (label == 0).any():
            raise UsageError(f"The set {name!r} must hold craters and blanks; received: {int(label.sum())} craters")
    if limit is not None:
        sets = {name: data.first(limit) for name, data in sets.items()}
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "sets": {name: {"digest": data.digest, "card": data.card} for name, data in sets.items()},
        "contenders": {one.name: one.about for one in contenders},
        "figures": {},
    }
    scores: dict[str, np.ndarray] = {}
    for contender in contenders:
        for name, data in sets.items():
            score = contender.score(data)
            scores[f"{contender.name}|{name}"] = score
            figures = measure(data, score, typical=contender.typical)
            results["figures"].setdefault(contender.name, {})[name] = figures
            recall = share(figures["recall_at_budget_4_to_36_px"])
            say(f"{contender.name} on {name}: recall {recall} at 4% of blanks, area {figures['roc_area']:.4f}")
    np.savez(folder / "scores.npz", **scores)  # type: ignore[arg-type]
    (folder / "report.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(results), encoding="utf-8")
    plot(results, {name: data.column("label") for name, data in sets.items()}, scores, folder)
    return results
