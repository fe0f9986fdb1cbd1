"""Before and after: recall and false alarms of two bundles, as a table and a verdict."""

from __future__ import annotations

from typing import Any

from crater_ray.network.bundle import Bundle
from training.data_sets.dataset import DataSet
from training.evaluation.intervals import wilson
from training.network.scoring import bundle_logits, probability
from training.retraining.added import Added, as_data_set


def compare(before: Bundle, after: Bundle, added: Added, test: DataSet) -> dict[str, Any]:
    """Recall and false alarms of two bundles at their typical thresholds, on a test set and on added images."""
    held = as_data_set(added)
    table: dict[str, Any] = {}
    for name, one in (("before", before), ("after", after)):
        for place, data, logits in zip(("test", "added"), (test, held), bundle_logits(one, test, held), strict=True):
            label = data.column("label")
            flagged = probability(logits) >= one.typical_threshold
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
