"""The tables of an evaluation, as Markdown."""

from __future__ import annotations

from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """All tables of an evaluation, as Markdown; every share with its 95% Wilson interval."""
    lines: list[str] = []
    names = list(results["figures"])
    for test in results["sets"]:
        first = results["figures"][names[0]][test]
        lines += [f"## {test}", "", f"{first['craters']} craters, {first['blanks']} blanks", ""]
        lines += _table(
            ["", *names],
            [
                [row, *(pick(results["figures"][name][test]) for name in names)]
                for row, pick in (
                    ("recall of 4-36 px at 4% of blanks", lambda f: share(f["recall_at_budget_4_to_36_px"])),
                    ("area under ROC", lambda f: f"{f['roc_area']:.4f}"),
                    ("average precision", lambda f: f"{f['average_precision']:.4f}"),
                    ("expected calibration error", _calibration_error),
                    ("distinct scores among top 200", lambda f: str(f["distinct_among_top_200"])),
                )
            ],
        )
        for title, key in (
            ("Recall by diameter in pixels, at 4% of blanks", "recall_by_diameter_px"),
            ("Recall by contrast-to-noise, at 4% of blanks", "recall_by_contrast_to_noise"),
            ("Recall by source, at 4% of blanks", "recall_by_source"),
            ("False alarms by the largest defect of the blank, at 4% of blanks", "false_alarms_by_defect"),
            ("False alarms by source, at 4% of blanks", "false_alarms_by_source"),
        ):
            rows = [
                [group, *(share(results["figures"][name][test][key][group]) for name in names)] for group in first[key]
            ]
            lines += [f"**{title}**", "", *_table(["", *names], rows)]
        rows = [
            [name, label, f"{at['threshold']:.4g}", share(at["sensitivity"]), share(at["specificity"])]
            for name in names
            for label, at in results["figures"][name][test]["thresholds"].items()
        ]
        lines += ["**Thresholds**", "", *_table(["", "threshold", "value", "sensitivity", "specificity"], rows)]
    return "\n".join(lines) + "\n"


def _calibration_error(figures: dict[str, Any]) -> str:
    if "calibration" not in figures:
        return "-"
    return f"{figures['calibration']['expected_calibration_error']:.4f}"


def share(one: dict[str, Any]) -> str:
    """A proportion of `training.evaluation.measures`, with its interval, for people."""
    if not one["of"]:
        return "-"
    return f"{one['share']:.1%} ({one['low']:.1%}-{one['high']:.1%}, n={one['of']})"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)] + [""]
