"""Key lists that are tables: which column holds the images. What is not unmistakable is refused, never guessed."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.storage.registry import is_absolute

if TYPE_CHECKING:
    import pyarrow.parquet as pq

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
LIST_COLUMNS = (
    *("uri", "url", "s3uri", "path", "filepath", "fullpath", "imagepath", "imgpath", "key", "imagekey", "objectkey"),
    *("filename", "imagefilename", "imagefile", "imagename", "file", "image"),
)
"""Names of columns that hold images, the surest first; written without capitals, spaces and signs."""
EMPTY_ROWS = "(rows without an entry)"
DELIMITERS = "\t;|,"
"""The surer first: a comma also stands in numbers and names."""
LOOKED_AT = 100
HEAD = 1_000_000
"""So many rows, of so many characters, are looked at to tell what a column holds."""
Rows = list[list[str]]
_SITE_KEY = re.compile(r"f[cm]_[-\w.]*\d[-\w.]*")
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NAMES = (
    *_TEXTS,
    pa.types.is_dictionary,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_integer,
)


@dataclass(frozen=True)
class Chosen:
    """Where a table has its images.

    Attributes:
        delimiter: between its columns.
        position: of the column, from 0.
        header: whether its first line has the columns' names.
    """

    delimiter: str
    position: int
    header: bool


def csv_entries(source: str, text: str, column: str | None) -> tuple[list[str], Counter[str]]:
    """The entries of a table in text, and how many rows have none.

    Args:
        source: the list, for messages.
        text: its content: values separated by commas, semicolons, tabs or bars.
        column: the name of the column of images, or its number, from 1, in a table without names; None to find it.

    Raises:
        UsageError: which column holds the images is not unmistakable, or the one that was named is not there.
    """
    declared = re.match(r"sep=(.)\r?\n", text)  # a first line that spreadsheets write
    delimiters = declared[1] if declared else DELIMITERS
    text = text[declared.end() :] if declared else text
    if not text.strip():
        return [], Counter()
    head = text[:HEAD]
    if len(text) > HEAD:
        head = head[: head.rfind("\n") + 1] or head
    heads = {delimiter: _head(head, delimiter) for delimiter in delimiters}
    chosen = _named(heads, column) if column else _known(heads) or _by_content(heads)
    if chosen is None:
        raise UsageError(_refusal(source, heads[_delimiter(heads)][0], column))
    rows = (row for row in _rows(text, chosen.delimiter) if row)
    if chosen.header:
        next(rows)
    entries, empty = [], 0
    for row in rows:
        entry = row[chosen.position].strip() if len(row) > chosen.position else ""
        if entry:
            entries.append(entry)
        else:
            empty += 1
    return entries, Counter({EMPTY_ROWS: empty} if empty else {})


def begins_with_header(text: str) -> bool:
    """Whether the first line of a list with one entry a line has names of columns: it is a table then."""
    first = text[:HEAD].lstrip().partition("\n")[0]
    return bool(first) and _known({delimiter: _head(first, delimiter) for delimiter in DELIMITERS}) is not None


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _head(text: str, delimiter: str) -> Rows:
    return list(itertools.islice((row for row in _rows(text, delimiter) if row), LOOKED_AT))


def _delimiter(heads: dict[str, Rows]) -> str:
    """What separates the columns: what stands equally often in all rows."""
    for delimiter, head in heads.items():
        widths = {len(row) for row in head}
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return [*heads][-1]


def _named(heads: dict[str, Rows], column: str) -> Chosen | None:
    for same in (str.strip, _plain):
        for delimiter, head in heads.items():
            names = [same(name) for name in head[0]]
            if names.count(same(column)) == 1:
                return Chosen(delimiter, names.index(same(column)), True)
    if not column.isdecimal():
        return None
    delimiter = _delimiter(heads)
    columns = max(map(len, heads[delimiter]))
    return Chosen(delimiter, int(column) - 1, False) if 1 <= int(column) <= columns else None


def _known(heads: dict[str, Rows]) -> Chosen | None:
    """The column whose name says that it holds images; the surest name counts."""
    found = []
    for delimiter, head in heads.items():
        names = [] if any(map(looks_like_image, head[0])) else [_plain(cell) for cell in head[0]]
        found += [(LIST_COLUMNS.index(name), delimiter, names.index(name)) for name in names if name in LIST_COLUMNS]
    if not found:
        return None
    _, delimiter, position = min(found)
    return Chosen(delimiter, position, True)


def _by_content(heads: dict[str, Rows]) -> Chosen | None:
    """The only column that holds nothing but names of images."""
    delimiter = _delimiter(heads)
    first, *others = heads[delimiter]
    found = only_images(list(itertools.zip_longest(*(others or [first]), fillvalue="")))
    if found is None or len(first) <= found:
        return None
    return Chosen(delimiter, found, not looks_like_image(first[found]))


def only_images(columns: Sequence[Sequence[Any]]) -> int | None:
    """Which column alone holds nothing but names of images; None if none does, or several do."""
    filled = [[str(value) for value in values if value not in ("", None)] for values in columns]
    found = [at for at, values in enumerate(filled) if values and all(map(looks_like_image, values))]
    return found[0] if len(found) == 1 else None


def looks_like_image(text: str) -> bool:
    """Whether a text can be nothing but an image's file name, address, or key of the site's layout."""
    text = text.strip()
    if len(text) > 2_000:
        return False
    whole = is_absolute(text) and not text.endswith("/")
    return text.lower().endswith(IMAGE_SUFFIXES) or whole or _SITE_KEY.fullmatch(text) is not None


def parquet_entries(source: str, file: pq.ParquetFile, column: str | None) -> tuple[list[str], Counter[str]]:
    """The entries of a Parquet file, and how many rows have none; arguments and errors as for `csv_entries`."""
    names = file.schema_arrow.names
    position = _parquet_position(file, names, column)
    if position is None:
        raise UsageError(_refusal(source, names, column))
    kind = file.schema_arrow.field(position).type
    if not any(test(kind) for test in _NAMES) and not pa.types.is_null(kind):
        raise UsageError(f"The key list {source!r} must hold texts in its column {names[position]!r}; received: {kind}")
    if names.count(names[position]) > 1:
        raise UsageError(f"The key list {source!r} has several columns called {names[position]!r}.")
    values = file.read([names[position]])[names[position]].to_pylist()
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values if value is not None]
    entries = [text for text in texts if text.strip()]
    empty = len(values) - len(entries)
    return entries, Counter({EMPTY_ROWS: empty} if empty else {})


def _parquet_position(file: pq.ParquetFile, names: list[str], column: str | None) -> int | None:
    if column is not None:
        for same in (str.strip, _plain):
            alike = [same(name) for name in names]
            if alike.count(same(column)) == 1:
                return alike.index(same(column))
        return int(column) - 1 if column.isdecimal() and 1 <= int(column) <= len(names) else None
    plain = [_plain(name) for name in names]
    known = next((name for name in LIST_COLUMNS if name in plain), None)
    if known is not None:
        return plain.index(known)
    texts = [at for at, field in enumerate(file.schema_arrow) if any(test(field.type) for test in _TEXTS)]
    first = next(file.iter_batches(LOOKED_AT, columns=[names[at] for at in texts]), None) if texts else None
    found = only_images([first[names[at]].to_pylist() for at in texts]) if first is not None else None
    return None if found is None else texts[found]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _refusal(source: str, columns: Sequence[str], column: str | None) -> str:
    shown = ", ".join(repr(name.strip()[:40]) for name in columns[:20]) + ", ..." * (len(columns) > 20)
    wrong = f"has no column {column!r}" if column else "does not say which column holds the images"
    return (
        f"The key list {source!r} {wrong}. Its columns: {shown}. Name one with --column NAME, or, if its first line "
        "is an image already, with its number, as in --column 1."
    )
