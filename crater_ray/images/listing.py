"""The source of a scan: every image of a folder in any store, or of a key list, as batches of path, uri, size, etag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.key_list import LIST_SUFFIXES, locate, read_key_list
from crater_ray.images.list_table import IMAGE_SUFFIXES
from crater_ray.storage.access import Access
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.registry import examples, store_at

KINDS = 30
"""So many kinds of files that were passed over are named."""
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
        ignored: how many files were passed over because their name is not an image's, by suffix; of a key list how
            many lines hold no entry. Grows while `batches` is consumed.
        seen: whether storage listed the images; else nobody has looked yet whether they are there.
    """

    source: str
    batches: Iterable[pa.RecordBatch]
    ignored: Counter[str] = field(default_factory=Counter)
    seen: bool = True

    def passed_over(self) -> dict[str, int]:
        """The commonest of `ignored`, most first, with the sum of all others: every file is counted."""
        shown = dict(self.ignored.most_common(KINDS))
        others = self.ignored.total() - sum(shown.values())
        return shown | ({"(other suffixes)": others} if others else {})


def open_archive(source: str, access: Access, base: str | None = None, column: str | None = None) -> Listing:
    """Find out what a source is and begin to list it.

    Args:
        source: a local folder, `s3://bucket/prefix`, or a key list in any store; see
            `crater_ray.images.key_list.read_key_list`.
        access: how to reach object storage.
        base: for key lists: what relative entries are relative to (default: the list's own folder). An entry
            without a file's suffix is a key of the site's layout, `<base>/<key>/<key>-001.jpg`.
        column: for key lists that are tables: the column of images, when it cannot be recognised.

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
        found = read_key_list(source, access, column)
        folder = address.rpartition("/")[0] if base is None else store_at(base).absolute(base)
        return Listing(address, map(_batch, locate(found.entries, folder)), found.passed_over, seen=False)
    for option, given in (("--base", base), ("--column", column)):
        if given is not None:
            raise UsageError(f"{option} goes with a key list ({', '.join(LIST_SUFFIXES)}); received {source!r}")
    listing = Listing(address, ())
    listing.batches = _images(store, address, listing.ignored)
    return listing


def _sources() -> str:
    return f"a folder of images ({examples(folders=True)}) or a key list ({', '.join(LIST_SUFFIXES)})"


def _images(store: Store, folder: str, ignored: Counter[str]) -> Iterator[pa.RecordBatch]:
    try:
        for page in store.objects(folder):
            images = [found for found in page if _is_image(found.name)]
            if len(images) < len(page):
                ignored.update(_kind(found) for found in page if not _is_image(found.name) and not _is_folder(found))
            if images:
                yield _batch(images)
    except FileNotFoundError as problem:
        raise UsageError(f"{problem} Check SOURCE: it must be {_sources()}.") from None
    except Exception as problem:
        raise store.explain(problem, folder) from None


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.rpartition("/")[2].startswith("._")


def _is_folder(found: Listed) -> bool:
    """Whether an object only marks that there is a folder, as consoles of object stores make them."""
    return found.name.endswith("/") and not found.size


def _kind(found: Listed) -> str:
    """What a file that is no image is counted as: its suffix, or what else tells it."""
    name = PurePosixPath(found.name)
    if name.name.startswith("._"):
        return "._*"  # what macOS keeps beside a file, under the file's own suffix
    if found.size is None:
        return "(broken links)"
    return name.suffix.lower() or "(none)"


def _batch(rows: Sequence[Listed]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)
