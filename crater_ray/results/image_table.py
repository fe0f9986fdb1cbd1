"""The foil search's table of images: read, tidied, and joined to rows by key."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from crater_ray.errors import UsageError

KEY_COLUMNS = ("key", "name", "image", "filename", "FileName")
BAD_FOCUS = 50
"""From this value of `bad_focus` on, an image is flagged; the foil search's own labels leave such images out."""

_COMMENT = r"(?:^|\s)(?P<foil>I\d{3,5}[A-Z]{0,2})(?:\s+(?P<frame>\d{1,9})|\s|$)"
_RAW_FRAME = r"(?:^|/)(?P<foil>I\d{3,5}[A-Z]{0,2})_(?P<frame>\d{1,9})$"


def read_image_table(path: Path) -> pa.Table:
    """Read the image table, one row per key; of repeated keys the first row counts.

    Returns:
        Its columns, the key column renamed to `key`.

    Raises:
        UsageError: it is not there, not CSV, or has no key column.
    """
    try:
        table = pacsv.read_csv(path, parse_options=pacsv.ParseOptions(newlines_in_values=True))
    except FileNotFoundError:
        raise UsageError(f"There is no image table {str(path)!r}. Check --table, or leave it out.") from None
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"The image table {str(path)!r} cannot be read as CSV: {problem}") from None
    column = next((name for name in KEY_COLUMNS if name in table.column_names), None)
    if column is None:
        raise UsageError(
            f"The image table {str(path)!r} needs a column named {' or '.join(KEY_COLUMNS)}; "
            f"received: {', '.join(table.column_names)}"
        )
    position = table.column_names.index(column)
    table = table.set_column(position, "key", table[column].cast(pa.string()))
    rows = pa.array(range(table.num_rows))
    first = table.append_column("__row", rows).group_by("key").aggregate([("__row", "min")])["__row_min"]
    return table.take(first.take(pc.sort_indices(first)))


def join(rows: pa.Table, image_table: pa.Table | None) -> pa.Table:
    """Add what is known about the images to rows.

    Args:
        rows: with a column `key`.
        image_table: as `read_image_table` gives it; None when there is none.

    Returns:
        The same rows in the same order, then `foil` and `frame` (from the table's column `foil` where it has one, else
        from its `file_comment`, such as `real I1126N 541 2 0`, else from a raw frame's key, such as `I1009N_1234`),
        `flags` (`bad_focus`, or empty), then the image table's other columns, empty where a key is not in it. A column
        whose name is taken already is called `table_<name>`.
    """
    known = _aligned(rows["key"], image_table)
    named = _filled(known.pop("foil")) if "foil" in known else pa.nulls(rows.num_rows, pa.string())
    foil, frame = _split(known["file_comment"], _COMMENT) if "file_comment" in known else _unknown(rows.num_rows)
    key_foil, key_frame = _split(rows["key"], _RAW_FRAME)
    joined = rows.append_column("foil", pc.coalesce(named, foil, key_foil))
    joined = joined.append_column("frame", pc.cast(pc.coalesce(frame, key_frame), pa.int32()))
    joined = joined.append_column("flags", _flags(known.get("bad_focus"), rows.num_rows))
    for name, values in known.items():
        joined = joined.append_column(name if name not in joined.column_names else f"table_{name}", values)
    return joined


def foils_of(rows: pa.Table, image_table: pa.Table | None) -> pa.ChunkedArray:
    """The foil of each row: as the image table or the frame's key says, else the first folder of the key, else empty.

    Args:
        rows: with `key`.
        image_table: as `read_image_table` gives it.
    """
    known = join(rows.select(["key"]), image_table)["foil"]
    folder = pc.struct_field(pc.extract_regex(rows["key"], r"(?s)\A(?P<folder>[^/]+)/"), "folder")
    return pc.coalesce(known, folder, pa.scalar(""))


def _aligned(keys: pa.ChunkedArray, image_table: pa.Table | None) -> dict[str, pa.ChunkedArray]:
    """The image table's columns for these keys, without the key itself."""
    if image_table is None:
        return {}
    places = pc.index_in(keys, value_set=image_table["key"].combine_chunks())
    columns = {name: image_table[name].take(places) for name in image_table.column_names if name != "key"}
    # A column that is empty throughout has no type of its own, which other tools choke on.
    return {n: c.cast(pa.string()) if pa.types.is_null(c.type) else c for n, c in columns.items()}


def _filled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """As text without what is empty."""
    text = pc.utf8_trim_whitespace(values.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _unknown(rows: int) -> tuple[pa.Array, pa.Array]:
    return pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string())


def _split(texts: pa.ChunkedArray, pattern: str) -> tuple[pa.Array, pa.Array]:
    found = pc.extract_regex(texts.cast(pa.string()), pattern)
    foil, frame = pc.struct_field(found, "foil"), pc.struct_field(found, "frame")
    return foil, pc.if_else(pc.equal(frame, ""), pa.scalar(None, pa.string()), frame)


def _flags(bad_focus: pa.ChunkedArray | None, rows: int) -> pa.Array:
    if bad_focus is None or not (pa.types.is_integer(bad_focus.type) or pa.types.is_floating(bad_focus.type)):
        return pa.nulls(rows, pa.string())
    return pc.if_else(pc.greater_equal(bad_focus, BAD_FOCUS), "bad_focus", "")
