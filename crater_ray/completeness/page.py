"""The page: one HTML file that opens from disk without a network, with curves, tables and pictures."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from importlib.resources import files

from crater_ray.completeness.budgets import NAMES
from crater_ray.completeness.curves import Axis, Curve, Point, drawing, log_axis, percent_axis
from crater_ray.completeness.density import Density
from crater_ray.completeness.pictures import Shown
from crater_ray.completeness.planted import NEAR
from crater_ray.completeness.report import Completeness
from crater_ray.completeness.shares import Share
from crater_ray.completeness.show import density_words, interval, matched_words, own_row, own_tables, percent
from crater_ray.planting.visibility import SEEN


def page(measured: Completeness, name: str, facts: str, shown: Sequence[Shown]) -> str:
    """The whole page.

    Args:
        measured: what it shows.
        name: of the run.
        facts: a line about the run, for its head.
        shown: pictures of planted craters.
    """
    sections = [_answers(measured), _curves(measured), _divided(measured), _own(measured), _densities(measured)]
    sections += [_places(measured), _pictures(shown), _assumed(measured)]
    filled = {
        "title": html.escape(f"Completeness: {name}"),
        "facts": html.escape(facts),
        "style": _asset("page.css"),
        "body": "\n".join(f"<section>{section}</section>" for section in sections if section),
    }
    # In one go: what is filled in may itself look like a gap.
    return re.sub(r"\{\{(\w+)\}\}", lambda gap: filled[gap[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return files("crater_ray.completeness").joinpath("assets", name).read_text(encoding="utf-8")


def _answers(measured: Completeness) -> str:
    visible, hidden, every = (measured.share(name) for name in ("visible", "not visible", "all"))
    answers = [
        (percent(visible.share), f"of the craters that can be seen are found (95% interval {interval(visible)}): "
         f"{visible.found:,} of {visible.planted:,} planted"),
        (percent(every.share), f"of all planted craters (95% interval {interval(every)}), with the {hidden.planted:,} "
         "that no observer could see"),
    ]  # fmt: skip
    half = _half_found(measured.shares["diameter_px"])
    if half:
        answers.append(
            (f"{half:.0f} px", "is the diameter from which on half of the visible craters or more are found")
        )
    if measured.densities:
        first = measured.densities[0]
        number = _bare(first)
        if number:
            answers.append((number, f"craters of all planted sizes {_per(measured.unit)}: {_judged_words(measured)}"))
    cells = "".join(f"<div><b>{html.escape(number)}</b>{html.escape(words)}</div>" for number, words in answers)
    lead = (
        f"Craters of known size were planted into {measured.planted:,} images of this run, and these scanned with the "
        f"run's own network, engine and threshold ({measured.threshold:g}). What share of the craters came back says "
        "what the run could have found on its own foils."
    )
    return f'<p>{lead}</p><div class="answers">{cells}</div>'


def _half_found(shares: Sequence[Share]) -> float | None:
    """The lower bound of the first size class from which on every class has at least half found."""
    found = None
    for share in reversed(shares):
        if share.share < 0.5:
            break
        found = share.low
    return found


def _bare(density: Density) -> str | None:
    if density.upper is None:
        return None
    return f"< {density.upper:.3g}" if density.confirmed == 0 else f"{density.density:.3g}"


def _per(unit: str) -> str:
    return "per mm\u00b2 of foil" if unit == "mm2" else "per 1,000 images"


def _judged_words(measured: Completeness) -> str:
    first, said = measured.densities[0], measured.judged
    if first.confirmed:
        return f"{first.confirmed:,} confirmed; 95% interval {first.lower:.3g} to {first.upper:.3g}"
    return f"none was confirmed among {said.judged:,} judged candidates (upper limit, 95%)"


def _curve(name: str, shares: Sequence[Share], style: int) -> Curve:
    points = [
        Point(_middle(share), share.share, share.lower, share.upper,
              f"{share.name}: {percent(share.share)} found ({interval(share)}); {share.planted:,} planted; "
              f"of 10 such craters {'-'.join(map(str, share.found_of(10)))}")
        for share in shares
    ]  # fmt: skip
    return Curve(name, points, style)


def _middle(share: Share | Density) -> float:
    low, high = share.low or 0.0, share.high if share.high is not None else math.inf
    if math.isinf(high):
        return 1.3 * low
    return math.sqrt(low * high) if low > 0 else high / 2


def _curves(measured: Completeness) -> str:
    shares = measured.shares
    drawings = []
    up = percent_axis("found")
    for name, label in (("diameter_px", "diameter, px"), ("diameter_nm", "diameter, nm")):
        if shares.get(name):
            low, high = shares[name][0].low or 1.0, shares[name][-1].high or 1.0
            curves = [
                _curve("craters that can be seen", shares[name], 0),
                _curve("all planted", shares[f"every_{name}"], 1),
            ]
            if measured.population:
                curves.append(_curve("as clear as the confirmed", shares[f"matched_{name}"], 2))
            drawings.append(drawing(curves, log_axis(label, low, high), up, "Found at the run's threshold, by size."))
    contrast = [_curve("found", shares["contrast_to_noise"], 0)]
    ticks = [(float(tick), str(tick)) for tick in (0, 2, 4, 6, 8, 12)]
    axis = Axis("contrast-to-noise", 0, 17, ticks)
    words = "Visible craters by how far rim and floor differ, as a multiple of the noise; the last class has no end."
    drawings.append(drawing(contrast, axis, up, words))
    drawings.append(_budgets(measured))
    bars = "Bars are 95% intervals. Point at a mark for its numbers."
    note = f"{bars} {html.escape(matched_words(measured)) if measured.densities else ''}"
    return f'<h2>What is found</h2><p class="note">{note}</p><div class="two">{"".join(drawings)}</div>'


def _budgets(measured: Completeness) -> str:
    if len(measured.budgets) < 2:
        return ""
    curves = []
    for style, name in enumerate(("all", *NAMES)):
        shares = [(budget, budget.sizes[style]) for budget in measured.budgets]
        points = [
            Point(budget.images, share.share, share.lower, share.upper,
                  f"{budget.images:,} images (score {budget.score:.4g}): {percent(share.share)} ({interval(share)})")
            for budget, share in shares if share.planted
        ]  # fmt: skip
        if points:
            curves.append(Curve(f"{name}" if style else "all that can be seen", points, style))
    low, high = measured.budgets[0].images, measured.budgets[-1].images
    axis = log_axis("images of the run that are looked at, best first", low, high)
    words = "What a longer look would find: shares of visible craters by the number of images that people review."
    return drawing(curves, axis, percent_axis("found"), words)


def _divided(measured: Completeness) -> str:
    tables = []
    for name, title in (
        ("foil", "foil"),
        ("look", "look of the crater"),
        ("noise", "noise of the image"),
        ("blur", "blur of the image"),
    ):
        shares = measured.shares[name]
        if len(shares) > 1:
            rows = [
                (share.name or "-", f"{share.planted:,}", percent(share.share), interval(share)) for share in shares
            ]
            tables.append(_table(f"By {title}", (title, "visible", "found", "95% interval"), rows))
    return f'<h2>By foil, look and quality</h2><div class="two">{"".join(tables)}</div>' if tables else ""


def _own(measured: Completeness) -> str:
    said = measured.judged
    heading = "<h2>What this run has missed</h2>"
    if not measured.own:
        left = f"{said.candidates - said.judged:,} of {said.candidates:,} candidates are not judged"
        return f"{heading}<p>{left}: once all are, this says how many craters the run has missed.</p>"
    classes = [own for own in measured.own if own.low is not None and own.share is not None]
    points = [
        Point(math.sqrt((own.low or 1) * (own.high or 1)), own.share, own.lower or 0.0, own.upper or 0.0,
              "{} px: {} confirmed, {} missed, {} found".format(*own_row(own)))
        for own in classes
    ]  # fmt: skip
    sizes = measured.shares["diameter_px"]
    across = log_axis("diameter, px", sizes[0].low or 1.0, sizes[-1].high or 1.0)
    caption = "Share found of the craters that are in these images, if there are any of the size."
    curve = drawing([Curve("found", points, 2)], across, percent_axis("found"), caption) if points else ""
    like = "confirmed" if measured.population else "planted"
    unsure = int((~said.certain).sum())
    words = (
        "All candidates are judged. Besides the confirmed craters there may be others in these images that an observer "
        f"could see and the run, at its threshold, has missed: about so many, if they are as clear as the {like} ones, "
        "and in 95 of 100 cases no fewer and no more than in brackets. A crater is of the size that the network gave "
        "it; the shares allow for that being wrong, and for confirmed ones that hardly anybody would see."
    )
    if unsure:
        words += f" Of {unsure:,} candidates reviewers are unsure: any share of them may be craters."
    first, *more = (_table("", heads, rows) for heads, rows in own_tables(measured))
    return f'{heading}<p>{words}</p><div class="two">{curve}{first}</div>{"".join(more)}'


def _densities(measured: Completeness) -> str:
    said = measured.judged
    heading = f"<h2>Craters {_per(measured.unit)}</h2>"
    if not said.usable:
        words = (
            f"Of the run's {said.candidates:,} candidates the best one is not judged yet. Judge them in the "
            "gallery, give the verdicts to review, and measure again: planting and scanning are not repeated."
        )
        return f"{heading}<p>{words}</p>"
    if not measured.densities:
        return ""
    words = f"{said.judged:,} of the run's {said.candidates:,} candidates are judged"
    if said.judged < said.candidates:
        words += f"; from score {said.cut:.6g} on, all are: densities count from there"
    clear = "as clear as the confirmed ones" if measured.population else "as clear as the planted ones"
    words += f". Completeness is that of craters {clear}"
    of_all = [density for density in measured.densities if not density.foil]
    of_foils = [density for density in measured.densities if density.foil]
    more = f"<details><summary>By foil</summary>{_density_table(measured, of_foils)}</details>" if of_foils else ""
    curve = f'<div class="two">{_density_curve(measured)}</div>'
    return f"{heading}<p>{html.escape(words)}.</p>{curve}{_density_table(measured, of_all)}{more}"


def _size_unit(measured: Completeness) -> str:
    return "nm" if measured.unit == "mm2" else "px"


def _density_table(measured: Completeness, densities: Sequence[Density]) -> str:
    rows = [
        (*([density.foil] if density.foil else []),
         "all sizes" if density.low is None else f"{density.low:g}-{density.high:g} {_size_unit(measured)}",
         f"{density.confirmed:,}", f"{density.possible:,}", f"{density.exposure:.4g}",
         "-" if density.completeness is None else percent(density.completeness), density_words(density, measured.unit))
        for density in densities
    ]  # fmt: skip
    exposure = "mm\u00b2 scanned" if measured.unit == "mm2" else "1,000 images"
    heads = ["size", "confirmed", "unsure or of unknown size", exposure, "completeness", "density"]
    return _table("", (["foil", *heads] if densities[0].foil else heads), rows)


def _density_curve(measured: Completeness) -> str:
    unit = _size_unit(measured)
    classes = [one for one in measured.densities if one.low is not None and not one.foil and one.upper is not None]
    if not classes:
        return ""
    ends = [end for one in classes for end in (one.upper, one.lower or one.density or one.upper) if end]
    low, high = 10 ** math.floor(math.log10(min(ends)) - 0.2), 10 ** math.ceil(math.log10(max(ends)) + 0.05)
    points = [
        Point(_middle(one), one.density if one.confirmed else None, max(one.lower, low), one.upper or high,
              f"{one.low:g}-{one.high:g} {unit}: {density_words(one, measured.unit)}")
        for one in classes
    ]  # fmt: skip
    across = log_axis(f"diameter, {unit}", classes[0].low or 1, classes[-1].high or 1)
    caption = "Craters in each class of size. Arrows are upper limits (95%): nothing was confirmed there."
    return drawing(
        [Curve("density", points, 0, joined=False)],
        across,
        log_axis(f"craters {_per(measured.unit)}", low, high),
        caption,
    )


def _places(measured: Completeness) -> str:
    rows = []
    for place in measured.places:
        if not place.found:
            continue
        record = place.record()
        ends = [record["near_interval"], record["right_interval"]]
        near, right = ("-" if end is None else f"{100 * end[0]:.0f}-{100 * end[1]:.0f}%" for end in ends)
        rows.append(
            (f"{place.low:g}-{place.high:g} px", f"{place.found:,}", percent(place.near / place.found), near,
             "-" if math.isnan(place.median_offset) else f"{place.median_offset:.1f} px", f"{place.measured:,}",
             percent(place.right / place.measured) if place.measured else "-", right)
        )  # fmt: skip
    heads = ("diameter", "candidates", "at the crater", "95%", "median offset", "measured", "within 25%", "95%")
    about = (
        f"Of the images with a visible crater that became candidates: how many have a place within {NEAR:g} px and "
        "half a diameter of it; how many of these got a diameter, and how many of those are right within a quarter."
    )
    return f"<h2>Places and diameters</h2><p>{about}</p>{_table('', heads, rows)}" if rows else ""


def _pictures(shown: Sequence[Shown]) -> str:
    if not shown:
        return ""
    figures = [
        f'<figure class="{"found" if one.found else "missed"}"><img src="{one.jpeg}" alt="planted crater">'
        f'<figcaption><span class="word">{"found" if one.found else "missed"}</span> {one.diameter:.1f} px, '
        f"score {one.score:.3f}{'' if one.visible else ', cannot be seen'}</figcaption></figure>"
        for one in shown
    ]
    about = (
        "Some of the planted craters, in the middle of each picture, as the network saw them. Do they look real to you?"
    )
    return f'<h2>Planted craters</h2><p>{about}</p><div class="pictures">{"".join(figures)}</div>'


def _assumed(measured: Completeness) -> str:
    return (
        "<h2>What this assumes</h2><ul>"
        "<li>Real craters look like the planted ones: bowls with a raised rim, seen in secondary electrons, blurred as "
        "the image is at their place, in its noise, through its JPEG. How strongly they differ from the foil is drawn "
        "from a range, because an image does not tell how its operator set the contrast. Half of them have dark floors "
        "and full rims (fresh), half flat, brighter floors and one-sided rims (shallow): how far their shares differ "
        "says how much the answer hangs on what real craters look like.</li>"
        f"<li>A crater counts as one that can be seen when a matched filter that knows the surface's texture has a "
        f"signal over noise of {SEEN:g} or more.</li>"
        "<li>A crater is found when a candidate's place lies at it; what the image has elsewhere does not count.</li>"
        "<li>Densities take reviewers' verdicts for true, and count images that overlap on the foil twice.</li>"
        "</ul>"
    )


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{html.escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
