"""Key lists: images named one by one in a .txt, .csv or .parquet file; reading them, and where their entries are."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.list_table import begins_with_header, csv_entries, parquet_entries
from crater_ray.storage.access import Access
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.local import visible
from crater_ray.storage.registry import is_absolute, store_at

LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".parquet")
PAGE = 10_000
"""So many entries are handed on at a time."""
COMMENTS = "(comment lines)"
_FILE = re.compile(r".*\.([a-z]{2,5}|j[p2][2kx]|dm[34]|nd2|h5|hdf5|mp4|bz2|7z)", re.IGNORECASE | re.DOTALL)
"""A name with a suffix as files have them. Keys of the site may end in a point and digits."""


@dataclass(frozen=True)
class KeyList:
    """What a key list holds.

    Attributes:
        entries: as they stand there.
        passed_over: how many of its lines hold no entry, by what they are.
    """

    entries: list[str]
    passed_over: Counter[str] = field(default_factory=Counter)


def read_key_list(source: str, access: Access, column: str | None = None) -> KeyList:
    """Read a key list: .txt (one entry a line), or .csv, .tsv or .parquet (a column of them), in any store.

    Args:
        source: where it is.
        access: how to reach object storage.
        column: the column that holds the images: its name, or its number from 1 in a table that names none. None to
            find it, by its name or by what it holds.

    Raises:
        UsageError: it is not there, cannot be read, is empty, or does not say which column holds the images.
        StorageError: storage refused or could not be reached.
    """
    store = store_at(source, access)
    source = store.absolute(source)
    try:
        data = store.get(source)
    except FileNotFoundError:
        raise UsageError(f"There is no key list {source!r}.") from None
    except Exception as problem:
        raise store.explain(problem, source) from None
    try:
        found = _read(source, data, column)
    except (ValueError, OSError, pa.ArrowException, IndexError, csv.Error) as problem:
        raise UsageError(f"The key list {source!r} cannot be read: {problem}") from None
    if not found.entries:
        raise UsageError(f"The key list {source!r} is empty.")
    return found


def _read(source: str, data: bytes, column: str | None) -> KeyList:
    if source.lower().endswith(".parquet"):
        import pyarrow.parquet as pq

        return KeyList(*parquet_entries(source, pq.ParquetFile(io.BytesIO(data), pre_buffer=False), column))
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as spreadsheets write them
    text = data.decode("utf-16" if wide else "utf-8-sig")
    if source.lower().endswith(".txt") and column is None and not begins_with_header(text):
        return _lines(text)
    return KeyList(*csv_entries(source, text, column))


def _lines(text: str) -> KeyList:
    lines = [line.strip() for line in text.split("\n")]
    comments = sum(map(_is_comment, lines))
    return KeyList(
        [line for line in lines if line and not _is_comment(line)], Counter({COMMENTS: comments} if comments else {})
    )


def _is_comment(line: str) -> bool:
    """Whether a line is no entry: `#` and a space, or `#` before what is no file's name. `#4 tray.png` is one."""
    return line.startswith("#") and (line[1:2].isspace() or not _FILE.fullmatch(line))


def locate(entries: Sequence[str], folder: str) -> Iterator[Sequence[Listed]]:
    """Where the images of a key list are, some at a time; no storage is asked.

    Args:
        entries: as they stand in the list.
        folder: absolute address that relative entries are relative to. An entry without a file's suffix is a key of
            the site's layout, `<folder>/<key>/<key>-001.jpg`.

    Returns:
        Their names relative to `folder`; if not all lie below it, relative to the deepest folder that holds all.
    """
    here = store_at(folder)
    below = folder.rstrip("/") + "/"
    stores = [store_at(entry) if is_absolute(entry) else here for entry in entries]
    addresses = [
        store.absolute(entry) if store is not here else here.absolute(here.below(folder, _file_of(entry)))
        for store, entry in zip(stores, entries, strict=True)
    ]
    root = below if all(address.startswith(below) for address in addresses) else _common_root(addresses)
    located = (_listed(store, address, root) for store, address in zip(stores, addresses, strict=True))
    while page := list(itertools.islice(located, PAGE)):
        yield page


def _file_of(entry: str) -> str:
    """An entry as the path of a file: itself, or where the site's layout has the image of this key."""
    if _FILE.fullmatch(entry):
        return entry
    return f"{entry}/{entry.rpartition('/')[2]}-001.jpg"


def _listed(store: Store, address: str, root: str) -> Listed:
    name = address[len(root) :] if root else address.partition("://")[2] or address
    return Listed(visible(os.fsencode(name.lstrip("/"))), store.uri(address), None, None)


def _common_root(addresses: Iterable[str]) -> str:
    """The deepest folder that holds all images, with a slash at its end; empty if they share no more than a scheme.

    A site layout's own folder per image does not count.
    """
    tops = {re.sub(r"([^/]+)/\1-001\.[^./]+$", "", address) for address in addresses}
    parents = [top if top.endswith("/") else top.rpartition("/")[0] + "/" for top in tops]
    common = os.path.commonprefix(parents)
    common = common[: common.rfind("/") + 1]
    return common if "://" not in common or common.count("/") > 3 else ""
