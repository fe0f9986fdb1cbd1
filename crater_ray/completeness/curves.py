"""Curves as SVG drawings: shares with their intervals, and densities; colours come from the page's style."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 26, 16, 46


@dataclass(frozen=True)
class Point:
    """A point of a curve.

    Attributes:
        x, y: where; y is None where there is only an upper end.
        low, high: its interval.
        note: said when pointed at.
    """

    x: float
    y: float | None
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class Curve:
    """A curve with a name for the legend; `style` is the number of its colour, `joined` whether a line joins it."""

    name: str
    points: list[Point]
    style: int
    joined: bool = True


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, logarithmic or not, with ticks and their words."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0..1; values outside lie at the ends."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def percent_axis(label: str) -> Axis:
    """From 0 to 100%."""
    return Axis(label, 0, 1, [(tick / 100, f"{tick}%") for tick in range(0, 101, 20)])


def log_axis(label: str, low: float, high: float) -> Axis:
    """A logarithmic axis whose ticks are 1, 2 and 5 times powers of ten, only powers where these are many."""
    steps: tuple[int, ...] = (1, 2, 5) if high / low < 2_000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    return Axis(label, low, high, [(tick, f"{tick:,.10g}") for tick in ticks], True)


def drawing(curves: Sequence[Curve], across: Axis, up: Axis, caption: str) -> str:
    """An SVG drawing in a figure.

    Args:
        curves: points are joined in order.
        across, up: the axes.
        caption: below it; the drawing's name for those who cannot see it.
    """

    def x(value: float) -> float:
        return LEFT + across.place(value) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick, words in up.ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{html.escape(words)}</text>')
    for tick, words in across.ticks:
        below = HEIGHT - BOTTOM
        parts.append(f'<line class="axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{below}" y2="{below + 4}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{below + 18}" text-anchor="middle">{html.escape(words)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    label = html.escape(across.label)
    parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
    for number, curve in enumerate(curves):
        aside = 3 * (number - (len(curves) - 1) / 2)  # so that intervals of curves do not hide each other
        known = [f"{x(point.x) + aside:.1f},{y(point.y):.1f}" for point in curve.points if point.y is not None]
        parts.append(f'<g class="s{curve.style}">')
        if curve.joined and len(known) > 1:
            parts.append(f'<polyline points="{" ".join(known)}"/>')
        for point in curve.points:
            parts.append(_mark(point, x(point.x) + aside, y))
        parts.append("</g>")
    legend = "".join(f'<li class="s{curve.style}">{html.escape(curve.name)}</li>' for curve in curves)
    legend = f'<ul class="legend">{legend}</ul>' if len(curves) > 1 else ""
    label = html.escape(caption)
    return (
        f'<figure>{legend}<p class="up">{html.escape(up.label)}</p>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _mark(point: Point, x: float, y: Callable[[float], float]) -> str:
    low, high = y(point.low), y(point.high)
    title = f"<title>{html.escape(point.note)}</title>"
    if point.y is None:
        arrow = f'<path d="M{x - 5:.1f} {high + 9:.1f} L{x:.1f} {high + 18:.1f} L{x + 5:.1f} {high + 9:.1f}"/>'
        bar = f'<line x1="{x - 7:.1f}" x2="{x + 7:.1f}" y1="{high:.1f}" y2="{high:.1f}"/>'
        stem = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{high:.1f}" y2="{high + 18:.1f}"/>'
        return f'<g class="limit">{title}{bar}{stem}{arrow}</g>'
    middle = y(point.y)
    whisker = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    return f'<g>{title}{whisker}<circle cx="{x:.1f}" cy="{middle:.1f}" r="4"/></g>'
