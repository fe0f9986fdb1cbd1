"""The source of a scan: every image of a folder in any store, or of a key list, as batches of path, uri, size, etag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.key_list import IMAGE_SUFFIXES, LIST_SUFFIXES, locate, read_key_list
from crater_ray.storage.access import Access
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.registry import examples, store_at

LISTING = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
    ]
)


@dataclass
class Listing:
    """An archive being listed.

    Attributes:
        source: the address as recorded with the run: absolute path or `s3://...`.
        batches: record batches of schema `LISTING`, `path` relative to the source; each can be taken once.
        ignored: how many files were passed over because their name is not an image's, by suffix. Grows while
            `batches` is consumed.
    """

    source: str
    batches: Iterable[pa.RecordBatch]
    ignored: Counter[str] = field(default_factory=Counter)


def open_archive(source: str, access: Access, base: str | None = None) -> Listing:
    """Find out what a source is and begin to list it.

    Args:
        source: a local folder, `s3://bucket/prefix`, or a key list: a .txt (one entry a line), .csv or .parquet
            (column `uri`, `path`, `key` or `FileName`, else the first) file in any store.
        access: how to reach object storage.
        base: for key lists: what relative entries are relative to (default: the list's own folder). An entry
            without an image suffix is a key of the site's layout, `<base>/<key>/<key>-001.jpg`.

    Returns:
        The listing. What is wrong with a folder is said while its `batches` are consumed, by the same exceptions.

    Raises:
        UsageError: the source does not exist or is nothing of these.
        StorageError: storage refused or could not be reached.
    """
    if not source:
        raise UsageError(f"SOURCE must be {_sources()}; received: ''")
    store = store_at(source, access)
    address = store.absolute(source)
    if source.lower().endswith(LIST_SUFFIXES):
        entries = read_key_list(source, access)
        folder = address.rpartition("/")[0] if base is None else store_at(base).absolute(base)
        return Listing(address, map(_batch, locate(entries, folder)))
    if base is not None:
        raise UsageError(f"--base goes with a key list (.txt, .csv, .parquet); received the source {source!r}")
    listing = Listing(address, ())
    listing.batches = _images(store, address, listing.ignored)
    return listing


def _sources() -> str:
    return f"a folder of images ({examples()}) or a key list ({', '.join(LIST_SUFFIXES)})"


def _images(store: Store, folder: str, ignored: Counter[str]) -> Iterator[pa.RecordBatch]:
    try:
        for page in store.objects(folder):
            images = [found for found in page if found.name.lower().endswith(IMAGE_SUFFIXES)]
            if len(images) < len(page):
                others = [found.name for found in page if not found.name.lower().endswith((*IMAGE_SUFFIXES, "/"))]
                ignored.update(PurePosixPath(name).suffix.lower() or "(none)" for name in others)
            if images:
                yield _batch(images)
    except FileNotFoundError as problem:
        raise UsageError(f"{problem} Check SOURCE: it must be {_sources()}.") from None
    except Exception as problem:
        raise store.explain(problem, folder) from None


def _batch(rows: Sequence[Listed]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)
