"""What `completeness` prints: shares by size and contrast, places, and densities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from crater_ray.completeness.population import LEAST_COMPARED
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.completeness.density import Density
    from crater_ray.completeness.own import Own
    from crater_ray.completeness.report import Completeness
    from crater_ray.completeness.shares import Share

TABLES = (
    ("diameter_px", "diameter in px"),
    ("matched_diameter_px", "diameter in px, as clear as confirmed"),
    ("contrast_to_noise", "contrast-to-noise"),
    ("foil", "foil"),
    ("look", "look"),
)
OWN_HEADS = ("diameter in px", "confirmed", "missed (95%)", "of all found (95%)")
"""Of the table of what a run has found and missed."""


def percent(share: float) -> str:
    """A share for readers; a dash where there is none."""
    return "-" if math.isnan(share) else f"{100 * share:.0f}%"


def interval(share: Share) -> str:
    """Its 95% interval for readers."""
    return f"{100 * share.lower:.0f}-{100 * share.upper:.0f}%"


def number(value: float) -> str:
    """Three digits for readers, or all before the point."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def density_words(density: Density, unit: str) -> str:
    """A density, or its upper limit, for readers."""
    per = "per mm\u00b2" if unit == "mm2" else "per 1,000 images"
    if density.upper is None:
        return "no limit: no planted crater of this size was found"
    if density.confirmed == 0:
        return f"fewer than {number(density.upper)} {per} (95%)"
    return f"{number(density.density or 0.0)} {per} (95% interval {number(density.lower)}-{number(density.upper)})"


def matched_words(measured: Completeness) -> str:
    """Which craters densities take a foil's own to be like: the confirmed ones, or the planted ones."""
    population = measured.population
    confirmed = len(measured.judged.confirmed)
    if population is None and confirmed:
        return (
            f"Densities take the foil's own craters to be as the planted ones: confirmed are {confirmed:,}, but fewer "
            f"than {LEAST_COMPARED} planted ones were found that would tell how clear they are, or none measured since."
        )
    if population is None:
        return (
            "Densities take the foil's own craters to be as the planted ones: none is confirmed that would tell how "
            "clear the foil's own are."
        )
    middle, low, high = population.clearer
    share = measured.share(matched=True)
    count = population.confirmed
    confirmed_say = "The one confirmed crater says" if count == 1 else f"The {count:,} confirmed craters say"
    return (
        f"{confirmed_say} that the foil's own are {middle:.2g} times (95% interval "
        f"{low:.2g}-{high:.2g}) as clear as the planted ones. Of such that an observer could see "
        f"{percent(share.share)} are found (95% interval {interval(share)}). Densities take them so."
    )


def own_row(own: Own) -> tuple[str, str, str, str]:
    """A row of it."""
    most = "no limit" if own.missed_most is None else f"{own.missed_fewest:,}-{own.missed_most:,}"
    missed = f"{own.missed:,} ({most})" if own.missed_most is not None else most
    share = "-"
    if own.lower is not None and own.share is not None and own.upper is not None:
        share = f"{percent(own.share)} ({100 * own.lower:.0f}-{100 * own.upper:.0f}%)"
    return own.foil or own.name, f"{own.confirmed:,}", missed, share


def own_tables(measured: Completeness) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Heads and rows of what a run has found and missed: by size, and by foil where there are several."""
    sizes = [own_row(own) for own in measured.own if not own.foil]
    foils = [own_row(own) for own in measured.own if own.foil]
    tables: list[tuple[tuple[str, ...], list[tuple[str, ...]]]] = []
    tables += [(OWN_HEADS, [*sizes])] if sizes else []
    tables += [(("foil", *OWN_HEADS[1:]), [*foils])] if foils else []
    return tables


def show_completeness(measured: Completeness, console: Console) -> None:
    """Say it in a few lines and tables."""
    from rich.table import Table

    visible, hidden = measured.share("visible"), measured.share("not visible")
    say(
        console,
        f"of {visible.planted:,} planted craters that an observer could see, {percent(visible.share)} are found at the "
        f"threshold {measured.threshold:g} (95% interval {interval(visible)})",
    )
    if hidden.planted:
        say(console, f"of {hidden.planted:,} that nobody could see: {percent(hidden.share)}")
    if measured.unreadable:
        say(console, f"{measured.unreadable:,} images could not be read any more and are left out")
    for name, title in TABLES:
        shares = measured.shares.get(name, [])
        if len(shares) < (2 if name in ("foil", "look") else 1):
            continue
        table = Table()
        for heading in (title, "planted", "found", "95% interval", "of 10"):
            table.add_column(heading, justify="right" if heading not in ("foil", "look") else "left")
        for share in shares:
            few = "-".join(f"{count}" for count in share.found_of(10))
            table.add_row(share.name or "-", f"{share.planted:,}", percent(share.share), interval(share), few)
        console.print(table, markup=False)
    said = measured.judged
    if not said.usable:
        say(
            console,
            f"Densities need verdicts: of {said.candidates:,} candidates the best one is not judged yet. See "
            "`crater-ray gallery` and `crater-ray review`, then run this command again.",
        )
    elif said.judged < said.candidates:
        say(
            console,
            f"{said.judged:,} of {said.candidates:,} candidates are judged, all from score {said.cut:.6g} on: "
            "densities count from there. What the run has missed is said once all are judged.",
        )
    for heads, rows in own_tables(measured):
        table = Table()
        for heading in heads:
            table.add_column(heading, justify="left" if heading == "foil" else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table, markup=False)
    if measured.densities:
        say(console, matched_words(measured))
        say(console, f"craters of all planted sizes: {density_words(measured.densities[0], measured.unit)}")
