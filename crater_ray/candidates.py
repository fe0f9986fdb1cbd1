"""Candidates: the images at or above a score, best first, joined with the foil search's image table."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crater_ray.errors import UsageError
from crater_ray.storage import explain

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.run import Run

COLUMNS = ("key", "score", "x", "y", "height", "width", "uri", "bundle", "stage")
KEY_COLUMNS = ("key", "name", "image", "filename", "FileName")
SHOWN = 20


def list_candidates(run: Run, threshold: float, image_table: pa.Table | None = None) -> pa.Table:
    """The run's candidates.

    Args:
        run: a run, complete or not.
        threshold: the lowest score that counts.
        image_table: rows about images, with a column `key`; its columns are added, empty where a key is not in it.

    Returns:
        `Prediction`, `FileName`, then `COLUMNS`, then the image table's columns; by falling score, then by key.
    """
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"--threshold must lie between 0 and 1; received: {threshold}")
    cut = pa.scalar(threshold, pa.float32())
    found = [rows.filter(pc.greater_equal(rows["score"], cut)).select(COLUMNS) for rows in run.parts()]
    if not found:
        from crater_ray import part

        found = [part.SCHEMA.empty_table().select(COLUMNS)]
    table = pa.concat_tables(found).sort_by([("score", "descending"), ("key", "ascending")])
    names = pc.replace_substring_regex(table["uri"], r"(?s)\A.*/", "")
    table = table.add_column(0, "FileName", names).add_column(0, "Prediction", table["score"])
    return table if image_table is None else _join(table, image_table)


def _join(table: pa.Table, image_table: pa.Table) -> pa.Table:
    taken = set(table.column_names)
    renamed = [name if name == "key" or name not in taken else f"table_{name}" for name in image_table.column_names]
    joined = table.join(image_table.rename_columns(renamed), "key", join_type="left outer")
    return joined.sort_by([("score", "descending"), ("key", "ascending")])


def read_image_table(path: Path) -> pa.Table:
    """Read the image table, one row per key.

    Raises:
        UsageError: it is not there, not CSV, or has no key column.
    """
    try:
        table = pacsv.read_csv(path, parse_options=pacsv.ParseOptions(newlines_in_values=True))
    except FileNotFoundError:
        raise UsageError(f"There is no image table {str(path)!r}.") from None
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"The image table {str(path)!r} cannot be read as CSV: {problem}") from None
    column = next((name for name in KEY_COLUMNS if name in table.column_names), None)
    if column is None:
        raise UsageError(
            f"The image table {str(path)!r} needs a column named {' or '.join(KEY_COLUMNS)}; "
            f"received: {', '.join(table.column_names)}"
        )
    names = ["key" if name == column else name for name in table.column_names]
    table = table.rename_columns(names)
    position = names.index("key")
    table = table.set_column(position, "key", table["key"].cast(pa.string()))
    rows = pa.array(range(table.num_rows))
    first = table.append_column("__row", rows).group_by("key").aggregate([("__row", "min")])["__row_min"]
    return table.take(first.take(pc.sort_indices(first)))


def write_csv(found: pa.Table, target: str) -> None:
    """Write candidates as CSV, all of them, to a file or to standard output (`-`)."""
    try:
        if target == "-":
            text = io.BytesIO()
            pacsv.write_csv(found, text)
            sys.stdout.write(text.getvalue().decode())
        else:
            pacsv.write_csv(found, target)
    except OSError as problem:
        raise explain(problem, target) from None


def show_candidates(found: pa.Table, threshold: float, run: Run, csv: str | None, console: Console) -> None:
    """Show the best candidates and how many there are."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=None)
    for name, justify in (("score", "right"), ("key", "left"), ("x", "right"), ("y", "right"), ("file", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in found.slice(0, SHOWN).to_pylist():
        place = ["" if row[name] is None else f"{row[name]:.0f}" for name in ("x", "y")]
        table.add_row(
            f"{row['Prediction']:.4f}", escape(repr(row["key"])[1:-1]), *place, escape(repr(row["FileName"])[1:-1])
        )
    if found.num_rows:
        console.print(table)
    more = f", the best {SHOWN} shown" if found.num_rows > SHOWN else ""
    note = "" if run.success() else " The run is not complete."
    console.print(f"{found.num_rows:,} candidates at or above {threshold:g}{more}.{note}", highlight=False)
    if csv:
        console.print(f"all of them: {csv}", highlight=False, markup=False, soft_wrap=True)
    elif found.num_rows > SHOWN:
        console.print("Add --csv FILE for all of them.", highlight=False)
