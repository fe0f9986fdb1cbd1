"""A gallery on disk: a page that opens from a file, without a network, and the data and pictures that it shows.

DIR/
  index.html, style.css, *.js   the page; nothing in it comes from names of images
  summary.js                    run, distribution, and key, score, foil of every candidate
  vectors.js                    what tells candidates apart that look alike, where there is anything
  data/0000.js                  the rest of what is known of the candidates of one chunk
  sprites/0000.jpg              their crops, side by side
  images/0000/00.jpg            the whole images
File names are numbers, never keys. Data is JSON of ASCII characters only, and the page puts it in as text.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import CraterRayError
from crater_ray.planting.recipe import split
from crater_ray.results.gallery.orders import diversity, looks_of, uncertainty
from crater_ray.results.gallery.pictures import COLUMNS, CROP, Picture, Subject, make_chunk
from crater_ray.results.new_folder import new_folder
from crater_ray.results.order import BETWEEN
from crater_ray.results.processes import in_processes
from crater_ray.storage.access import Access
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

CHUNK = COLUMNS * COLUMNS
"""Candidates on a page, and in a sprite: the first page needs one sprite."""
WORTH_A_POOL = 10
"""Fewer chunks than this are made faster by one process than by starting others."""
ASSETS = (
    "style.css",
    "state.js",
    "scale.js",
    "chart.js",
    "expected.js",
    "similar.js",
    "folds.js",
    "selection.js",
    "cards.js",
    "zoom.js",
    "app.js",
)
MARKER = "summary.js"
MADE = frozenset({MARKER, "index.html", "vectors.js", "data", "images", "sprites", *ASSETS})
"""All that can lie at the top of a gallery's folder."""
DETAILS = ("VMcode", "id", "frame", "flags", "bad_focus", "tech", "comment", "bundle")
QUALITY = ("focus", "noise", "contrast", "saturated")
MEASURED = (*QUALITY, "pixel_nm", "voltage_kv", "magnification")
"""Columns that a picture's details show, where there are any; the measured ones with four digits."""
TRUTH, RECIPE, ADDRESS = "truth", "recipe", "address"
"""Columns that only tables with gold standards have."""


@dataclass(frozen=True)
class Gallery:
    """What a gallery shows.

    Attributes:
        title: of the page.
        candidates: in the order in which to show them: `key`, `uri`, `score`, `x`, `y`, `diameter` (estimated from the
            pixels when all of them are empty); optionally `TRUTH` (crater or not, of gold standards alone), `RECIPE`
            (what is planted into the image, as text), `ADDRESS` (shown instead of `uri`), `places`, `foil`, `group`
            (such as gained or lost), `note` (a line about it), `instrument`, `bar` and any of `DETAILS` and `MEASURED`.
        facts: about the run, for the page's head: run_id, bundle, source, threshold and so on; JSON values.
        distribution: see `crater_ray.results.gallery.distribution`, as JSON values.
        expected: blanks and craters to be expected at its thresholds; see
            `crater_ray.results.false_alarms.report.curves`. None where nothing is said of them.
        chances: (n,) how probable a crater is in each; only their order by uncertainty is shown.
        pixel_nm: width of a pixel in nm; as `candidates` have it for each image when None.
        vectors: (n, d) int8, directions by which candidates that look alike are found; rows of zeros where nothing is
            known. None where there are none.
        repeats: of each candidate the number of the repeating artefact that it belongs to, -1 for none; and the names
            of these. None where there are none.
        extra: an SVG drawing made by this package (never of names) that the page shows below its head.
    """

    title: str
    candidates: pa.Table
    facts: dict[str, Any]
    distribution: dict[str, Any]
    pixel_nm: float | None = None
    extra: str = ""
    expected: dict[str, Any] | None = None
    chances: np.ndarray | None = None
    vectors: np.ndarray | None = None
    repeats: tuple[list[int], list[str]] | None = None


@dataclass
class Written:
    """What was written.

    Attributes:
        page: the page to open.
        candidates: how many it shows.
        bytes: on disk.
        problems: why some have no picture: how many by reason.
    """

    page: Path
    candidates: int
    bytes: int
    problems: dict[str, int] = field(default_factory=dict)


def write(
    gallery: Gallery,
    out: Path,
    access: Access,
    whole: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a gallery; an earlier gallery in the same folder is replaced once the new one is finished.

    What else lies in that folder, such as verdicts that were saved there, stays.

    Args:
        gallery: what to show.
        out: the folder.
        access: how to reach images on S3.
        whole: also copy the whole images, so that each can be zoomed.
        progress: called with candidates done and candidates in all.

    Raises:
        UsageError: the folder holds something else.
        CraterRayError: not one of the images could be fetched.
    """
    table = gallery.candidates
    with new_folder(out, "a gallery", MARKER, MADE) as folder:
        pictures: list[Picture] = []
        for number, chunk in enumerate(_chunks(table, folder, access, whole)):
            _write_js(folder / "data" / f"{number:04d}.js", "chunk", number, _details(table, number, chunk))
            pictures += chunk
            if progress:
                progress(len(pictures), table.num_rows)
        problems = [picture.problem for picture in pictures if picture.problem]
        if problems and len(problems) == len(pictures):
            raise CraterRayError(
                f"Not one of the {len(pictures):,} images could be fetched; the first: {problems[0]}. "
                "Is the archive still where it was scanned? Check --endpoint-url and --anonymous."
            )
        if gallery.vectors is not None:
            _write_js(folder / "vectors.js", "vectors", base64.b64encode(gallery.vectors.tobytes()).decode())
        orders = {"diversity": diversity(looks_of(folder / "sprites", pictures)).tolist()} if pictures else {}
        if gallery.chances is not None:
            orders["uncertainty"] = uncertainty(gallery.chances).tolist()
        _write_js(folder / MARKER, "summary", _summary(gallery, whole) | {"orders": orders})
        for name in ASSETS:
            (folder / name).write_bytes(_asset(name))
        page = _asset("index.html").decode().replace("{{title}}", html.escape(gallery.title))
        scripts = "\n".join(f'<script src="{name}"></script>' for name in ASSETS if name.endswith(".js"))
        page = page.replace("{{scripts}}", scripts).replace("{{extra}}", gallery.extra)
        (folder / "index.html").write_text(page, encoding="utf-8")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    counts = {reason: problems.count(reason) for reason in dict.fromkeys(problems)}
    return Written(out / "index.html", table.num_rows, size, counts)


def show_written(written: Written, console: Console) -> None:
    """Say what was made and which page to open."""
    say(console, f"{written.candidates:,} candidates, {written.bytes / 1e6:,.1f} MB")
    for reason, count in list(written.problems.items())[:5]:
        say(console, f"{count:,} without a picture: {reason}")
    say(console, f"open in a browser: {written.page}")


def _chunks(table: pa.Table, folder: Path, access: Access, whole: bool) -> Iterator[list[Picture]]:
    jobs = []
    estimate = table["diameter"].null_count == table.num_rows
    for number, start in enumerate(range(0, table.num_rows, CHUNK)):
        rows = table.slice(start, CHUNK)
        numbers = (pc.fill_null(rows[name].cast(pa.float64()), np.nan).to_pylist() for name in ("x", "y", "diameter"))
        page, recipes = (
            rows[name].to_pylist() if name in rows.column_names else [None] * rows.num_rows for name in ("page", RECIPE)
        )
        places = zip(rows["uri"].to_pylist(), *numbers, page, recipes, strict=True)
        subjects = [
            Subject(uri, x, y, diameter, estimate, page, split([recipe])[1][0] if recipe else None)
            for uri, x, y, diameter, page, recipe in places
        ]
        jobs.append((number, subjects, folder, access, whole))
    return in_processes(_made, jobs, worth_it=len(jobs) >= WORTH_A_POOL, at_once=2)


def _made(job: tuple[int, list[Subject], Path, Access, bool]) -> list[Picture]:
    return make_chunk(*job)


def _details(table: pa.Table, number: int, pictures: list[Picture]) -> list[dict[str, Any]]:
    shown = ("x", "y", "uri", "note", "group", "instrument", "bar", *DETAILS, *MEASURED)
    chunk = table.slice(number * CHUNK, CHUNK)
    rows = chunk.select([name for name in shown if name in table.column_names]).to_pylist()
    if ADDRESS in table.column_names:
        for row, address in zip(rows, chunk[ADDRESS].to_pylist(), strict=True):
            row["uri"] = address
    for row in rows:
        row |= {name: _short(row[name]) for name in MEASURED if name in row}
    if {"page", "pages"} <= set(table.column_names):
        for row, page, pages in zip(rows, chunk["page"].to_pylist(), chunk["pages"].to_pylist(), strict=True):
            row["page"] = f"{page}, the best of {pages}" if (pages or 1) > 1 else None
    if "places" in table.column_names:
        for row, places in zip(rows, chunk["places"].to_pylist(), strict=True):
            row["places"] = [_described(place) for place in (places or ())[1:]]
    return [
        {name: value for name, value in row.items() if value not in (None, "", [])} | asdict(picture)
        for row, picture in zip(rows, pictures, strict=True)
    ]


def _texts(table: pa.Table, name: str) -> list[str | None]:
    texts: list[str | None] = table[name].to_pylist() if name in table.column_names else []
    return texts


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


def _described(place: dict[str, float | None]) -> str:
    size = "" if place["diameter"] is None else f", \u2300 {place['diameter']:.0f} px"
    return f"{place['x']:.1f}, {place['y']:.1f} px, score {place['score']:.4f}{size}"


def _summary(gallery: Gallery, whole: bool) -> dict[str, Any]:
    table = gallery.candidates
    # float32 in its shortest form: comparing it with a typed threshold then gives what the run's own comparison does.
    scores = [None if score is None else float(str(np.float32(score))) for score in table["score"].to_pylist()]
    summary: dict[str, Any] = {
        "facts": gallery.facts | {"made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")},
        "distribution": gallery.distribution,
        "expected": gallery.expected,
        "pixel_nm": gallery.pixel_nm,
        "similar": None if gallery.vectors is None else {"wide": gallery.vectors.shape[1]},
        "repeats": None if gallery.repeats is None else dict(zip(("of", "names"), gallery.repeats, strict=True)),
        "whole": whole,
        "chunk": CHUNK,
        "columns": COLUMNS,
        "crop": CROP,
        "keys": table["key"].to_pylist(),
        "scores": scores,
    }
    for name in ("foil", "group"):
        if name in table.column_names and table[name].null_count < table.num_rows:
            values = table[name].to_pylist()
            names = sorted({value for value in values if value is not None})
            place = {value: index for index, value in enumerate(names)}
            summary[name] = {"names": names, "of": [place.get(value, -1) for value in values]}
    for name in QUALITY:
        if name in table.column_names and table[name].null_count < table.num_rows:
            summary.setdefault("quality", {})[name] = [_short(number) for number in table[name].to_pylist()]
    if TRUTH in table.column_names:
        truths = table[TRUTH].to_pylist()
        summary["gold"] = {str(place): truth for place, truth in enumerate(truths) if truth is not None}
    flags = [text.split(BETWEEN) if text else [] for text in _texts(table, "flags")]
    if any(flags):
        kinds = sorted({flag for some in flags for flag in some})
        summary["flags"] = {"names": kinds, "of": [[kinds.index(flag) for flag in some] for some in flags]}
    return summary


def _write_js(path: Path, function: str, *arguments: object) -> None:
    """JSON within a call: pages opened from disk may load scripts, but no other data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",".join(
        json.dumps(argument, ensure_ascii=True, default=str, separators=(",", ":")) for argument in arguments
    )
    path.write_text(f"craterRay.{function}({text});\n", encoding="ascii")


def _asset(name: str) -> bytes:
    return files("crater_ray.results.gallery").joinpath("assets", name).read_bytes()
