"""The loop of docs/loop.md, command by command, as it stands there."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crater_ray import open_run

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/loop.md").read_text(encoding="utf-8"), re.DOTALL)
THRESHOLD = 0.1


def run(commands: str, folder: Path) -> str:
    """What commands of the page print; they have to exit 0."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def labels(archive: Path) -> dict[str, dict[str, str]]:
    with (archive / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def scores(folder: Path) -> dict[str, float]:
    with open_run(folder) as found:
        return {row["key"]: row["score"] for row in found.table(["key", "score"]).to_pylist()}


def false_alarms(folder: Path, craters: set[str], reference: Path, threshold: float) -> int:
    """Blanks at or above the score from which a run finds as many craters as the reference does at `threshold`."""
    wanted = sum(score >= threshold for key, score in scores(reference).items() if key in craters)
    found = scores(folder)
    cut = sorted((found[key] for key in craters), reverse=True)[wanted - 1]
    return sum(score >= cut for key, score in found.items() if key not in craters)


def candidates(folder: Path) -> set[str]:
    with open_run(folder) as found:
        return {row["key"] for row in found.candidates(threshold=THRESHOLD).to_pylist()}


@pytest.mark.timeout(1500)
def test_the_loop_lowers_false_alarms_at_equal_recall(tmp_path: Path) -> None:
    scan, review, retrain, rescan = BLOCKS
    run(scan, tmp_path)
    truth = labels(tmp_path / "archive")
    craters = {key for key, row in truth.items() if row["label"] == "1"}
    before = candidates(tmp_path / "RUN")

    # Ann judges every candidate in the gallery, and knows of the craters that the network missed.
    with open_run(tmp_path / "RUN") as first:
        content = {
            "kind": "crater-ray verdicts",
            "format": 1,
            "run_id": first.record["run_id"],
            "bundle": "",
            "reviewer": "Ann",
        }
    when = "2026-01-31T12:00:00.000Z"
    said = [{"key": key, "verdict": "crater" if key in craters else "not", "when": when} for key in sorted(before)]
    (tmp_path / "verdicts-Ann-2026-01-31.json").write_text(json.dumps(content | {"verdicts": said}))
    missed = [f"{key},crater,{truth[key]['x']},{truth[key]['y']}" for key in sorted(craters - before)]
    (tmp_path / "missed.csv").write_text("\n".join(["key,verdict,x,y", *missed]) + "\n")

    assert f"{len(before) + len(missed)} images judged" in run(review, tmp_path)
    run(retrain, tmp_path)
    comparison = json.loads((tmp_path / "NEW/comparison.json").read_text())
    assert comparison["better"]
    assert comparison["added before"]["craters"] + comparison["added before"]["blanks"] == len(before) + len(missed)
    compared = run(rescan, tmp_path)
    assert "where it finds as many as A: false alarms" in compared
    for threshold in (0.3, 0.5):
        old, new = (false_alarms(tmp_path / name, craters, tmp_path / "RUN", threshold) for name in ("RUN", "RUN3"))
        assert new < old
    with open_run(tmp_path / "RUN3") as merged:
        assert merged.complete
        assert merged.images == len(truth)
