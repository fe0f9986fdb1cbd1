"""What `review` prints: how many images were judged, precision so far, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from crater_ray.results.review.gold import GoldVerdict
from crater_ray.results.review.skill import SURE, Skill, probabilities, skills
from crater_ray.results.review.statistics import agreement, precision
from crater_ray.results.review.verdicts import VERDICTS, Verdict, consensus, judged_rows
from crater_ray.watching.display import say

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

    from crater_ray.runs.run import Run


def show_review(run: Run, verdicts: list[Verdict], gold: list[GoldVerdict], console: Console) -> pa.Table:
    """Say what the verdicts say, and those on gold standards of their reviewers; gives the judged rows."""
    agreed = consensus(verdicts)
    judged = judged_rows(run, agreed)
    words = Counter(verdict.verdict for verdict in agreed.values())
    who = Counter(verdict.reviewer for verdict in verdicts)

    if not verdicts:
        say(
            console,
            "No verdicts yet. Make a gallery, judge candidates in it, save the file and give it to this command.",
        )
        show_skills(skills(gold), verdicts, console)
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
    show_skills(skills(gold), verdicts, console)
    return judged


def show_skills(known: list[Skill], verdicts: list[Verdict], console: Console) -> None:
    """Say how good reviewers are, and what all of them together say; nothing where nobody judged gold standards."""
    for skill in known:
        finds, rejects = skill.intervals()
        parts = []
        if skill.sensitivity is not None:
            found = f"finds {skill.found:,} of {skill.craters:,} craters"
            parts.append(f"{found}, sensitivity {_share(skill.sensitivity, finds)}")
        if skill.specificity is not None:
            rejected = f"rejects {skill.rejected:,} of {skill.blanks:,} blanks"
            parts.append(f"{rejected}, specificity {_share(skill.specificity, rejects)}")
        parts += [f"unsure about {skill.unsure:,}"] * bool(skill.unsure)
        say(console, f"{skill.reviewer} on gold standards: {'; '.join(parts)}")
    if known and verdicts:
        combined = probabilities(verdicts, known)
        craters, blanks, open_ones = combined.counts()
        say(
            console,
            f"combined, by these skills: {craters:,} craters (probability from {SURE:g} on), {blanks:,} not, "
            f"{open_ones:,} undecided; {100 * combined.prior:.2g}% of all judged are craters",
        )


def _share(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:.1f}% (95% interval {100 * interval[0]:.1f}-{100 * interval[1]:.1f}%)"
