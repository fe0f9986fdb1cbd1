"""What people's verdicts say about two runs: craters found and false alarms, also where both find equally many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.results.compare.comparison import Comparison
from crater_ray.results.open_run import Results
from crater_ray.results.review.verdicts import consensus, read_verdicts
from crater_ray.runs.run import Run


@dataclass(frozen=True)
class Judged:
    """Two runs, A and B, on the images that both have and that people judged; unsure ones left out.

    Attributes:
        craters, blanks: how many of each people saw.
        found: craters that are candidates of A, and of B, at each run's threshold.
        false_alarms: blanks that are.
        equal_cut: the highest threshold at which B finds as many craters as A does at its own; None where A finds
            none, or B never so many.
        false_alarms_at_cut: blanks that are candidates of B there.
        unjudged_at_cut: further candidates of B there, without a verdict or with an unsure one.
    """

    craters: int
    blanks: int
    found: tuple[int, int]
    false_alarms: tuple[int, int]
    equal_cut: float | None
    false_alarms_at_cut: int
    unjudged_at_cut: int


def judged(comparison: Comparison, a: Run, b: Run) -> Judged | None:
    """Count on judged images; None where nobody has judged any.

    Args:
        comparison: of these runs; its thresholds are used.
        a, b: the runs; verdicts kept with either count.
    """
    said = {key: one.verdict for key, one in consensus([*read_verdicts(a), *read_verdicts(b)]).items()}
    said = {key: verdict for key, verdict in said.items() if verdict != "unsure"}
    keys = pa.array(sorted(said), pa.string())
    scores = [_scores(run, keys) for run in (a, b)]
    names = sorted(scores[0].keys() & scores[1].keys())
    if not names:
        return None
    crater = np.asarray([said[name] == "crater" for name in names])
    old, new = (np.asarray([one[name] for name in names], np.float32) for one in scores)
    in_a, in_b = (score >= np.float32(cut) for score, cut in zip((old, new), comparison.thresholds, strict=True))
    found = int((in_a & crater).sum())
    ranked = np.sort(new[crater & ~np.isnan(new)])[::-1]
    cut = float(ranked[found - 1]) if 0 < found <= len(ranked) else None
    there = np.zeros(len(new), bool) if cut is None else new >= np.float32(cut)
    everywhere = 0 if cut is None else int((comparison.scores[:, 1] >= np.float32(cut)).sum())
    return Judged(
        craters=int(crater.sum()),
        blanks=int((~crater).sum()),
        found=(found, int((in_b & crater).sum())),
        false_alarms=(int((in_a & ~crater).sum()), int((in_b & ~crater).sum())),
        equal_cut=cut,
        false_alarms_at_cut=int((there & ~crater).sum()),
        unjudged_at_cut=max(0, everywhere - int((there & ~np.isnan(old)).sum())),
    )


def _scores(run: Run, keys: pa.Array) -> dict[str, float]:
    """Scores of these images, those that the run has; not a number where they have none."""
    found: dict[str, float] = {}
    for rows in Results(run).parts(["key", "score"]):
        some = rows.filter(pc.is_in(rows["key"], value_set=keys))
        scores = np.asarray(some["score"].to_numpy(), np.float32)
        found.update(zip(some["key"].to_pylist(), scores.tolist(), strict=True))
    return found


def sentences(found: Judged, thresholds: tuple[float, float]) -> list[str]:
    """The counts in words, one line each."""
    lines = [f"judged: {found.craters:,} craters and {found.blanks:,} that are none"]
    for name, side in (("A", 0), ("B", 1)):
        lines.append(
            f"  {name} at {thresholds[side]:g}: craters found {found.found[side]:,}, "
            f"false alarms {found.false_alarms[side]:,}"
        )
    if found.equal_cut is not None:
        unjudged = f"; candidates not judged for certain {found.unjudged_at_cut:,}" if found.unjudged_at_cut else ""
        lines.append(
            f"  B at {found.equal_cut:.4g}, where it finds as many as A: "
            f"false alarms {found.false_alarms_at_cut:,}{unjudged}"
        )
    elif found.found[0]:
        lines.append("  B finds fewer craters than A at any threshold")
    return lines
