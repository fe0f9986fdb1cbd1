"""Candidates: the images at or above a score or within a review budget, best first, as lists for people and labs."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crater_ray.errors import UsageError
from crater_ray.results.image_table import join
from crater_ray.results.open_run import Results
from crater_ray.results.order import BETWEEN
from crater_ray.runs.columns import SCHEMA
from crater_ray.storage.errors import explain
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.runs.run import Run

_FIRST = ("key", "score", "x", "y", "diameter", "height", "width", "uri", "bundle", "stage", "places")
COLUMNS = (*_FIRST, *(name for name in SCHEMA.names if name not in (*_FIRST, "status", "error")))
"""Of a run's columns those of a list, in its order; columns that came later follow in theirs."""
SHOWN = 20
CUT_OFFS = (0.5, 0.1, 0.01)
"""Scores for which the list of foils counts candidates."""
REIMAGE = ("foil", "frame", "VMcode", "id", "x_coord", "y_coord", "xymag", "zmag", "flags")
_SAFE = re.compile(r"[A-Za-z0-9][\w.-]{0,80}", re.ASCII)
"""Names of foils that may be names of files."""


def list_candidates(
    run: Run, threshold: float, image_table: pa.Table | None = None, pixel_nm: float | None = None
) -> pa.Table:
    """The run's candidates.

    Args:
        run: a run, complete or not.
        threshold: the lowest score that counts.
        image_table: rows about images, with a column `key`; its columns are added, empty where a key is not in it.
        pixel_nm: width of a pixel in nm; as the run has it for each image when None.

    Returns:
        `Prediction`, `FileName`, then `COLUMNS`, `diameter_nm`, `foil`, `frame`, `flags` and the image table's columns;
        by falling score, then by key.
    """
    table = with_pixel_size(Results(run).candidates(threshold, COLUMNS), pixel_nm)
    table = table.append_column("diameter_nm", pc.multiply(table["diameter"], table["pixel_nm"]))
    names = pc.replace_substring_regex(table["uri"], r"(?s)\A.*/", "")
    table = table.add_column(0, "FileName", names).add_column(0, "Prediction", table["score"])
    return join(table, image_table)


def with_pixel_size(rows: pa.Table, pixel_nm: float | None) -> pa.Table:
    """Rows whose `pixel_nm` is this one, if there is one."""
    if pixel_nm is None:
        return rows
    place = rows.schema.get_field_index("pixel_nm")
    return rows.set_column(place, "pixel_nm", pa.array([pixel_nm] * rows.num_rows, pa.float32()))


def read_budget(text: str, images: int) -> int:
    """How many images a review budget allows.

    Args:
        text: a number of images (`15000`) or a share of the run (`4%`).
        images: of the run.

    Raises:
        UsageError: it is neither.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip().replace(",", ""))
    if match and match[2] and float(match[1]) <= 100:
        return int(images * float(match[1]) / 100)
    if match and not match[2] and float(match[1]).is_integer():
        return int(match[1])
    raise UsageError(f"--budget must be a number of images, such as 500, or a share, such as 4%; received: {text!r}")


def threshold_for_budget(run: Run, budget: int) -> float:
    """The lowest score among the best `budget` images; 1.0 when there is none to review."""
    found = [rows["score"].drop_null().to_numpy() for rows in Results(run).parts(["score"])]
    scores = np.concatenate([np.zeros(0, np.float32), *found])
    if budget < 1 or len(scores) == 0:
        return 1.0
    if budget >= len(scores):
        return 0.0
    return float(np.partition(scores, len(scores) - budget)[len(scores) - budget])


def write_csv(found: pa.Table, target: str | Path) -> None:
    """Write a table as CSV to a file or to standard output (`-`), lists in cells (`places`) left out.

    Names stand in it exactly as they are.
    """
    found = found.select([field.name for field in found.schema if not pa.types.is_nested(field.type)])
    if target != "-" and Path(target).is_dir():
        raise UsageError(f"{target} is a folder. Give the name of a file.")
    try:
        if target == "-":
            text = io.BytesIO()
            pacsv.write_csv(found, text)
            sys.stdout.write(text.getvalue().decode())
        else:
            pacsv.write_csv(found, target)
    except OSError as problem:
        raise explain(problem, str(target)) from None


def foil_file(foil: str | None, number: int) -> str:
    """File of a foil's list: `<foil>.csv`; `foil-<number>.csv` if it may not be called so; else `no-foil.csv`."""
    if not foil:
        return "no-foil.csv"
    safe = _SAFE.fullmatch(foil) and foil.lower() not in ("foils", "no-foil")
    return f"{foil if safe else f'foil-{number:04d}'}.csv"


def write_foils(found: pa.Table, folder: Path) -> int:
    """Write a CSV of candidates for each foil, and `foils.csv` with how many each has.

    Args:
        found: as `list_candidates` gives it.
        folder: made when missing. Files are called as `foil_file` says.

    Returns:
        How many foils there are, unknown ones not counted.
    """
    foils = sorted(pc.unique(found["foil"].drop_null()).to_pylist())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "foils.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["foil", "candidates", *(f"from_{cut:g}" for cut in CUT_OFFS), "bad_focus", "best", "file"])
            for number, foil in enumerate([*foils, None]):
                mask = pc.is_null(found["foil"]) if foil is None else pc.equal(found["foil"], foil)
                some = found.filter(mask)
                if some.num_rows == 0:
                    continue
                scores = some["Prediction"].to_numpy()
                bad = _flags(some)["bad_focus"]
                above = [int((scores >= np.float32(cut)).sum()) for cut in CUT_OFFS]
                name = foil_file(foil, number)
                writer.writerow([foil or "", some.num_rows, *above, bad, f"{scores.max():.6g}", name])
                write_csv(some, folder / name)
    except OSError as problem:
        raise explain(problem, str(folder)) from None
    return len(foils)


def reimaging_list(found: pa.Table) -> pa.Table:
    """Where to look again at higher magnification, foil by foil and frame by frame.

    Args:
        found: as `list_candidates` gives it.

    Returns:
        `Prediction`, `FileName`, `key`; foil, frame, VMcode, coordinates and the like of the image table, as far as
        known; `x`, `y` of the crater in pixels from the centre of the image's first pixel; `right`, `down` from the
        centre of the image, in pixels and, if the size of a pixel is known of any image, in um; `diameter`, in pixels
        and nm; `height`, `width`.
        Places are empty where the network gave none. An image with several places has a line for each.
    """
    found = _a_line_for_each_place(found)
    known = found["pixel_nm"].null_count < found.num_rows
    columns = {name: found[name] for name in ("Prediction", "FileName", "key")}
    columns |= {name: found[name] for name in REIMAGE if name in found.column_names}
    columns |= {name: found[name] for name in ("x", "y")}
    for name, at, size in (("right", "x", "width"), ("down", "y", "height")):
        centre = pc.divide(pc.subtract(found[size].cast(pa.float32()), pa.scalar(1, pa.float32())), 2.0)
        offset = pc.subtract(found[at], centre.cast(pa.float32()))
        columns[f"{name}_px"] = offset
        if known:
            columns[f"{name}_um"] = pc.multiply(offset, pc.divide(found["pixel_nm"], pa.scalar(1000, pa.float32())))
    columns["diameter_px"] = found["diameter"]
    if known:
        columns["diameter_nm"] = pc.multiply(found["diameter"], found["pixel_nm"])
    columns |= {name: found[name] for name in ("height", "width")}
    order = [("foil", "ascending"), ("frame", "ascending"), ("Prediction", "descending"), ("key", "ascending")]
    return pa.table(columns).sort_by(order)


def _a_line_for_each_place(found: pa.Table) -> pa.Table:
    """Rows with several places, repeated with each of them and its score."""
    several = found["places"].to_pylist()
    at = [row for row, places in enumerate(several) for _ in range(max(1, len(places or ())))]
    lines = found.take(pa.array(at, pa.int64()))
    place = [one for places in several for one in (places or [None])]
    for column, name in (("Prediction", "score"), ("x", "x"), ("y", "y"), ("diameter", "diameter")):
        own = lines[column].to_pylist()
        values = [mine if one is None else one[name] for mine, one in zip(own, place, strict=True)]
        index = lines.schema.get_field_index(column)
        lines = lines.set_column(index, lines.schema.field(index), pa.array(values, lines.schema.field(index).type))
    return lines


def show_candidates(found: pa.Table, threshold: float | None, run: Run, written: list[str], console: Console) -> None:
    """Show the best candidates, how many there are (from a threshold on, or each foil from its own), and the lists."""
    from rich.markup import escape
    from rich.table import Table

    with_foils = found["foil"].null_count < found.num_rows or bool(_flags(found))
    with_nm = found["diameter_nm"].null_count < found.num_rows
    table = Table(title=None)
    shown = [("score", "right"), ("key", "left"), ("x", "right"), ("y", "right")]
    shown += [("nm", "right")] * with_nm + [("file", "left")]
    for name, justify in [*shown, *([("foil", "left"), ("flags", "left")] if with_foils else [])]:
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in found.slice(0, SHOWN).to_pylist():
        numbers = ("x", "y", "diameter_nm") if with_nm else ("x", "y")
        place = ["" if row[name] is None else f"{row[name]:.0f}" for name in numbers]
        foil = [f"{row['foil'] or ''} {row['frame'] or ''}".strip(), row["flags"] or ""] if with_foils else []
        names = (escape(repr(row[name])[1:-1]) for name in ("key", "FileName"))
        table.add_row(f"{row['Prediction']:.4f}", next(names), *place, next(names), *foil)
    if found.num_rows:
        console.print(table)
    more = f", the best {SHOWN} shown" if found.num_rows > SHOWN else ""
    note = "" if run.success() else " The run is not complete."
    cut = ", each foil from a threshold of its own" if threshold is None else f" at or above {threshold:.6g}"
    console.print(f"{found.num_rows:,} candidates{cut}{more}.{note}", highlight=False)
    for flag, count in _flags(found).most_common():
        console.print(f"{count:,} of them are flagged {flag}; none is left out for it.", highlight=False, markup=False)
    for line in written:
        say(console, line)
    if not written and found.num_rows > SHOWN:
        console.print("Add --csv FILE for all of them.", highlight=False)


def _flags(found: pa.Table) -> Counter[str]:
    """How many images have which flag."""
    return Counter(flag for flags in found["flags"].to_pylist() if flags for flag in flags.split(BETWEEN))
