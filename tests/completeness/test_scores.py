"""How planted craters score tells how many craters are to be expected among a run's candidates."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from crater_ray.completeness.planted import open_planted, read_planted_craters
from crater_ray.completeness.scores import crater_scores
from crater_ray.results.open_run import Results
from crater_ray.runs.run import open_existing
from tests.completeness.conftest import PLANTED
from tests.conftest import Cli
from tests.made_runs import make_run, row


def test_planted_craters_tell_how_craters_score(measured_run: Path, tmp_path: Path) -> None:
    with open_existing(measured_run) as run:
        [known] = crater_scores(run).values()  # neither foil has enough of its own
        with open_planted(run) as planted:
            craters = read_planted_craters(planted)
    assert len(known.scores) == len(known.weight) == PLANTED
    for cut in (0.001, 0.1, 0.9):
        assert (known.scores >= np.float32(cut)).sum() == craters.found(cut).sum()
    with make_run(tmp_path / "run", [row("k", 0.5)]) as run:
        assert crater_scores(run) == {}


def test_craters_to_expect_follow_from_verdicts(measured_run: Path, tmp_path: Path, cli: Cli) -> None:
    """Everything is judged: then it is known how many craters there are."""
    run_path = shutil.copytree(measured_run, tmp_path / "run")
    with open_existing(run_path) as run:
        keys = Results(run).candidates(0.0)["key"].to_pylist()
    unknown = cli("candidates", run_path, "--budget", "6")
    assert "craters is not known" in unknown.stdout, unknown.stderr
    assert "With so few images it can be told once people have judged the best" in unknown.stdout
    lines = "".join(f"{key},{'crater' if number < 4 else 'not'}\n" for number, key in enumerate(keys))
    (tmp_path / "said.csv").write_text(f"key,verdict\n{lines}")
    assert cli("review", run_path, tmp_path / "said.csv", "--reviewer", "Ann").returncode == 0
    known = cli("candidates", run_path, "--budget", "6")
    assert "; 4.0 (4.0 to 4.0) craters." in known.stdout, known.stderr
