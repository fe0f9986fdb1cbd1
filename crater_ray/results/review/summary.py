"""What `review` prints: how many images were judged, precision so far, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from crater_ray.results.review.statistics import agreement, precision
from crater_ray.results.review.verdicts import VERDICTS, Verdict, consensus, judged_rows
from crater_ray.watching.display import say

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from crater_ray.runs.run import Run


def show_review(run: Run, verdicts: list[Verdict], console: Console) -> pa.Table:
    """Say what the verdicts say; gives the judged rows."""
    agreed = consensus(verdicts)
    judged = judged_rows(run, agreed)
    words = Counter(verdict.verdict for verdict in agreed.values())
    who = Counter(verdict.reviewer for verdict in verdicts)

    if not verdicts:
        say(
            console,
            "No verdicts yet. Make a gallery, judge candidates in it, save the file and give it to this command.",
        )
        return judged
    named = ", ".join(f"{name} ({count:,})" for name, count in who.most_common())
    say(console, f"{len(agreed):,} images judged: {', '.join(f'{words[word]:,} {word}' for word in VERDICTS)}")
    say(console, f"by {named}")
    for one in precision(run, judged, sorted({run.threshold, 0.01, 0.1, 0.5})):
        if one.judged:
            low, high = one.interval()
            say(
                console,
                f"from {one.threshold:g}: {one.craters:,} of {one.judged:,} judged are craters, precision "
                f"{100 * one.craters / one.judged:.1f}% (95% interval {100 * low:.1f}-{100 * high:.1f}%); "
                f"{one.judged:,} of {one.candidates:,} candidates judged",
            )
    for pair in agreement(verdicts):
        kappa = "undefined (both always say the same word)" if pair.kappa is None else f"{pair.kappa:.2f}"
        say(console, f"{pair.first} and {pair.second}: same on {pair.same:,} of {pair.images:,}, Cohen's kappa {kappa}")
    return judged
