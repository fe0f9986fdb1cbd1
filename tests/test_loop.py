"""The loop of docs/loop.md, command by command, with fewer and smaller images than there."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray import open_run
from crater_ray.cli import main as crater_ray_main
from tests.conftest import PATIENCE
from training.__main__ import main as training_main

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/loop.md").read_text(encoding="utf-8"), re.DOTALL)
SMALLER = {
    "--images 160 --craters 80": "--images 100 --craters 54",
    "--images 80 --craters 40": "--images 12 --craters 6",
    "train:300 validation:150 test:150": "train:120 validation:60 test:60",
    "--size 384x512": "--size 150x150",
    "--megapixels 600": "--megapixels 4",
}
"""What the page says, and what is enough to learn what marks look like."""
THRESHOLD = 0.1
CLEAR = 12.0
"""In px: what a few hundred crops teach holds for craters from this diameter on."""


def smaller(commands: str) -> str:
    for said, little in SMALLER.items():
        commands = commands.replace(said, little)
    return commands


# The shell says which words each command gets; each then runs in this process, which saves the start of another.
ECHO = """
crater-ray() { printf '%s\\0' crater-ray "$@"; printf '\\n\\0'; }
python() { printf '%s\\0' python "$@"; printf '\\n\\0'; }
"""


def run(commands: str, folder: Path) -> str:
    """What commands of the page print; they have to end well."""
    shell = ["bash", "-euo", "pipefail", "-c", ECHO + smaller(commands)]
    said = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=True).stdout
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        for command in said.split("\n\0")[:-1]:
            words = command.split("\0")[:-1]
            main = crater_ray_main
            if words[:3] == ["python", "-m", "training"]:
                main, words = training_main, words[2:]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", words)
                try:
                    main()
                except SystemExit as ended:
                    assert not ended.code, f"{command}\n{out.getvalue()}"
    return out.getvalue()


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


def draw_targets(archive: Path, keys: list[str]) -> None:
    """Draw three bright rings around each other, as marks for alignment are: the network takes them for craters."""
    row, column = np.mgrid[:384, :512]
    distance = np.hypot(row - 192, column - 256)
    rings = sum(90 * np.exp(-(((distance - radius) / 3) ** 2)) for radius in (10, 20, 30))
    for key in keys:
        path = archive / key / f"{key}-001.jpg"
        with Image.open(path) as picture:
            pixels = np.array(picture.convert("L"))
        Image.fromarray(np.clip(pixels + rings, 0, 255).astype(np.uint8)).save(path, quality=90)


@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE)
def test_the_loop_lowers_false_alarms_at_equal_recall(ray_here: None, tmp_path: Path) -> None:
    """Many images without a crater have a mark that looks like craters: that is what the network has to learn."""
    assert all(any(said in block for block in BLOCKS) for said in SMALLER), "the page has other numbers now"
    scan, review, retrain, rescan = BLOCKS
    simulating, scanning = scan.split("crater-ray scan", 1)
    run(simulating, tmp_path)
    truth = labels(tmp_path / "archive")
    for key in [key for key, row in truth.items() if row["label"] == "1" and float(row["diameter_px"]) < CLEAR]:
        shutil.rmtree(tmp_path / "archive" / key)
        del truth[key]
    craters = {key for key, row in truth.items() if row["label"] == "1"}
    marked = sorted(truth.keys() - craters)[::2]
    draw_targets(tmp_path / "archive", marked)
    run("crater-ray scan" + scanning, tmp_path)
    before = candidates(tmp_path / "RUN")
    assert len(before & set(marked)) > len(marked) // 2, "the network does not take marks for craters"

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
    for threshold in (0.5, 0.9):
        old, new = (false_alarms(tmp_path / name, craters, tmp_path / "RUN", threshold) for name in ("RUN", "RUN3"))
        assert new < old
    with open_run(tmp_path / "RUN3") as merged:
        assert merged.complete
        assert merged.images == len(truth)
