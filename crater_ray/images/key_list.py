"""Key lists: images named one by one in a .txt, .csv or .parquet file; reading them, and where their entries are."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.storage.access import Access
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.local import visible
from crater_ray.storage.registry import is_absolute, store_at

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
LIST_SUFFIXES = (".txt", ".csv", ".parquet")
LIST_COLUMNS = ("uri", "path", "key", "FileName", "filename", "file_name")
PAGE = 10_000
"""So many entries are handed on at a time."""
_NAME_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_dictionary,
    pa.types.is_integer,
    pa.types.is_null,
)


def read_key_list(source: str, access: Access) -> list[str]:
    """The entries of a key list (.txt, .csv, .parquet; in any store) as they stand there.

    Raises:
        UsageError: it is not there, cannot be read, or is empty.
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
    entries = [entry for entry in _entries(source, data) if entry]
    if not entries:
        raise UsageError(f"The key list {source!r} is empty.")
    return entries


def _entries(source: str, data: bytes) -> list[str]:
    try:
        if source.lower().endswith(".parquet"):
            return _parquet_entries(source, data)
        text = data.decode("utf-8-sig")
        if source.lower().endswith(".txt"):
            return [line.strip() for line in text.split("\n") if not line.lstrip().startswith("#")]
        return _csv_entries(text)
    except (ValueError, OSError, pa.ArrowException, IndexError, csv.Error) as problem:
        raise UsageError(f"The key list {source!r} cannot be read: {problem}") from None


def _parquet_entries(source: str, data: bytes) -> list[str]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data), pre_buffer=False)
    names = file.schema_arrow.names
    column = next((name for name in LIST_COLUMNS if name in names), names[0])
    kind = file.schema_arrow.field(column).type
    if not any(test(kind) for test in _NAME_TYPES):
        raise UsageError(f"The key list {source!r} must hold texts in its column {column!r}; received: {kind}")
    return [str(value) for value in file.read([column])[column].to_pylist() if value is not None]


def _csv_entries(text: str) -> list[str]:
    rows = list(csv.reader(io.StringIO(text)))
    if not rows:
        return []
    column = next((name for name in LIST_COLUMNS if name in rows[0]), None)
    position = rows[0].index(column) if column else 0
    return [row[position].strip() for row in rows[1 if column else 0 :] if len(row) > position]


def locate(entries: Sequence[str], folder: str) -> Iterator[Sequence[Listed]]:
    """Where the images of a key list are, some at a time; no storage is asked.

    Args:
        entries: as they stand in the list.
        folder: absolute address that relative entries are relative to. An entry without an image suffix is a key of
            the site's layout, `<folder>/<key>/<key>-001.jpg`.

    Returns:
        Their names relative to `folder`; if not all lie below it, relative to the deepest folder that holds all.
    """
    here = store_at(folder)
    below = folder.rstrip("/") + "/"
    stores = [store_at(entry) if is_absolute(entry) else here for entry in entries]
    addresses = [
        store.absolute(entry if store is not here else below + _file_of(entry))
        for store, entry in zip(stores, entries, strict=True)
    ]
    root = below if all(address.startswith(below) for address in addresses) else _common_root(addresses)
    located = (_listed(store, address, root) for store, address in zip(stores, addresses, strict=True))
    while page := list(itertools.islice(located, PAGE)):
        yield page


def _file_of(entry: str) -> str:
    """An entry as the path of a file: itself, or where the site's layout has the image of this key."""
    if entry.lower().endswith(IMAGE_SUFFIXES + LIST_SUFFIXES):
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
