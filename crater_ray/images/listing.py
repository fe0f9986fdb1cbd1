"""The source of a scan: every image of a folder, an S3 prefix or a key list, as batches of path, uri, size, etag."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.storage.s3 import Access, explain, is_s3, s3_client, split_s3

LISTING = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("etag", pa.string()),
    ]
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
LIST_SUFFIXES = (".txt", ".csv", ".parquet")
LIST_COLUMNS = ("uri", "path", "key", "FileName", "filename", "file_name")
BATCH = 10_000
_NAME_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_dictionary,
    pa.types.is_integer,
    pa.types.is_null,
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
            (column `uri`, `path`, `key` or `FileName`, else the first) file, local or on S3.
        access: how to reach S3.
        base: for key lists: what relative entries are relative to (default: the list's own folder). An entry
            without an image suffix is a key of the site's layout, `<base>/<key>/<key>-001.jpg`.

    Raises:
        UsageError: the source does not exist or is nothing of these.
        StorageError: storage refused or could not be reached.
    """
    if not source:
        raise UsageError("SOURCE must be a folder, s3://bucket/prefix or a key list (.txt, .csv, .parquet).")
    if source.lower().endswith(LIST_SUFFIXES):
        return _open_list(source, access, base)
    if base is not None:
        raise UsageError(f"--base goes with a key list (.txt, .csv, .parquet); received the source {source!r}")
    if is_s3(source):
        listing = Listing(source.rstrip("/"), ())
        listing.batches = _list_s3(source, access, listing.ignored)
        return listing
    return _open_local(source)


def _open_local(source: str) -> Listing:
    if "://" in source and not source.startswith("file://"):
        raise UsageError(f"SOURCE must be a local path or an s3:// address; received: {source!r}")
    root = Path(os.path.abspath(os.path.expanduser(source.removeprefix("file://"))))
    if not root.is_dir():
        what = "is a file, but not a key list (.txt, .csv, .parquet)" if root.exists() else "does not exist"
        raise UsageError(f"The source {str(root)!r} {what}. Give a folder of images, s3://bucket/prefix or a key list.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise UsageError(f"The source {str(root)!r} may not be read. Check its permissions.")
    listing = Listing(str(root), ())
    listing.batches = _batches(_walk(root, listing.ignored))
    return listing


Entry = tuple[str, str, int | None, str | None]


def _batches(entries: Iterable[Entry]) -> Iterator[pa.RecordBatch]:
    rows: list[Entry] = []
    for entry in entries:
        rows.append(entry)
        if len(rows) == BATCH:
            yield _batch(rows)
            rows = []
    if rows:
        yield _batch(rows)


def _batch(rows: list[Entry]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, LISTING, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=LISTING)


def _walk(root: Path, ignored: Counter[str]) -> Iterator[Entry]:
    top = os.fsencode(root)
    pending = [b""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(os.path.join(top, below) if below else top) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError as problem:
            raise explain(problem, os.fsdecode(os.path.join(top, below))) from None
        folders = []
        for entry in found:
            path = os.path.join(below, entry.name) if below else entry.name
            if entry.is_dir(follow_symlinks=True) and not _loops(entry, top):
                folders.append(path)
            elif _is_image(name := _text(path)):
                yield _local_entry(name, os.path.join(top, path))
            else:
                ignored[PurePosixPath(name).suffix.lower() or "(none)"] += 1
        pending.extend(reversed(folders))


def _loops(entry: os.DirEntry[bytes], top: bytes) -> bool:
    if not entry.is_symlink():
        return False
    target = os.path.realpath(entry.path)
    return os.path.realpath(entry.path).startswith(os.path.realpath(top)) or os.path.realpath(top).startswith(target)


def _local_entry(name: str, path: bytes) -> Entry:
    uri = "file://" + quote_from_bytes(path)
    try:
        facts = os.stat(path)
    except OSError:  # it vanished, or is a dangling link: reading it will say so
        return name, uri, None, None
    return name, uri, facts.st_size, f"{facts.st_mtime_ns:x}-{facts.st_size:x}"


def local_path(uri: str) -> bytes:
    """The file system path that a `file://` uri of a manifest names."""
    return unquote_to_bytes(uri.removeprefix("file://"))


def _text(path: bytes) -> str:
    """File names are bytes; those that are not UTF-8 keep their odd bytes as visible escapes."""
    return path.decode("utf-8", "backslashreplace")


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _list_s3(source: str, access: Access, ignored: Counter[str]) -> Iterator[pa.RecordBatch]:
    bucket, prefix = split_s3(source)
    prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
    found = False
    try:
        paginator = s3_client(access).get_paginator("list_objects_v2")
        for page in paginator.paginate(Bucket=bucket, Prefix=prefix):
            rows: list[Entry] = []
            for item in page.get("Contents", ()):
                found = True
                key = item["Key"]
                if _is_image(key):
                    etag = item["ETag"].strip('"') if "ETag" in item else None
                    rows.append((key[len(prefix) :], f"s3://{bucket}/{key}", item["Size"], etag))
                elif not key.endswith("/"):
                    ignored[PurePosixPath(key).suffix.lower() or "(none)"] += 1
            if rows:
                yield _batch(rows)
    except Exception as problem:
        raise explain(problem, f"s3://{bucket}/{prefix}") from None
    if not found:
        raise UsageError(f"There is nothing under s3://{bucket}/{prefix}. Check the prefix.")


def read_key_list(source: str, access: Access) -> list[str]:
    """The entries of a key list (.txt, .csv, .parquet; local or on S3) as they stand there.

    Raises:
        UsageError: it is not there, cannot be read, or is empty.
        StorageError: storage refused or could not be reached.
    """
    if is_s3(source):
        bucket, key = split_s3(source)
        try:
            data = s3_client(access).get_object(Bucket=bucket, Key=key)["Body"].read()
        except Exception as problem:
            if getattr(problem, "response", {}).get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise UsageError(f"There is no key list {source!r}.") from None
            raise explain(problem, source) from None
    else:
        source = str(_absolute(source))
        try:
            data = Path(source).read_bytes()
        except FileNotFoundError:
            raise UsageError(f"There is no key list {source!r}.") from None
        except OSError as problem:
            raise explain(problem, source) from None
    entries = [entry for entry in _read_list(source, data) if entry]
    if not entries:
        raise UsageError(f"The key list {source!r} is empty.")
    return entries


def _absolute(path: str) -> Path:
    return Path(path.removeprefix("file://")).expanduser().absolute()


def _open_list(source: str, access: Access, base: str | None) -> Listing:
    entries = read_key_list(source, access)
    if not is_s3(source):
        source = str(_absolute(source))
    folder = source.rpartition("/")[0]
    if base is not None:
        folder = base.rstrip("/") if is_s3(base) else str(_absolute(base))
    return Listing(source, _batches(_listed(entries, folder)))


def _read_list(source: str, data: bytes) -> list[str]:
    try:
        if source.lower().endswith(".parquet"):
            import pyarrow.parquet as pq

            file = pq.ParquetFile(io.BytesIO(data), pre_buffer=False)
            names = file.schema_arrow.names
            column = next((name for name in LIST_COLUMNS if name in names), names[0])
            kind = file.schema_arrow.field(column).type
            if not any(test(kind) for test in _NAME_TYPES):
                raise UsageError(f"The key list {source!r} must hold texts in its column {column!r}; received: {kind}")
            return [str(value) for value in file.read([column])[column].to_pylist() if value is not None]
        text = data.decode("utf-8-sig")
    except (ValueError, OSError, pa.ArrowException, IndexError) as problem:
        raise UsageError(f"The key list {source!r} cannot be read: {problem}") from None
    if source.lower().endswith(".txt"):
        return [line.strip() for line in text.split("\n") if not line.lstrip().startswith("#")]
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as problem:
        raise UsageError(f"The key list {source!r} cannot be read: {problem}") from None
    if not rows:
        return []
    column_name = next((name for name in LIST_COLUMNS if name in rows[0]), None)
    position = rows[0].index(column_name) if column_name else 0
    body = rows[1:] if column_name else rows
    return [row[position].strip() for row in body if len(row) > position]


def _listed(entries: list[str], folder: str) -> Iterator[Entry]:
    located = [_locate(entry, folder) for entry in entries]
    root = folder if all(_within(uri, folder) for uri in located) else _common_root(located)
    for uri in located:
        path = uri[len(root) :].lstrip("/")
        yield (
            _text(os.fsencode(path)),
            uri if is_s3(uri) else "file://" + quote_from_bytes(os.fsencode(uri)),
            None,
            None,
        )


def _locate(entry: str, folder: str) -> str:
    """An entry's absolute path or s3 address."""
    if not is_s3(entry) and not entry.startswith(("/", "file://")):
        if not _is_image(entry) and not entry.lower().endswith(tuple(LIST_SUFFIXES)):
            entry = f"{entry}/{entry.rpartition('/')[2]}-001.jpg"
        entry = f"{folder}/{entry}"
    if entry.startswith("file://"):
        entry = os.fsdecode(local_path(entry))
    return entry if is_s3(entry) else os.path.normpath(entry)


def _within(uri: str, folder: str) -> bool:
    return uri.startswith(folder.rstrip("/") + "/")


def _common_root(uris: list[str]) -> str:
    """The deepest folder that holds all images; a site layout's own folder per image does not count."""
    tops = {re.sub(r"([^/]+)/\1-001\.[^./]+$", "", uri) for uri in uris}
    parents = [top if top.endswith("/") else top.rpartition("/")[0] + "/" for top in tops]
    common = os.path.commonprefix(parents).rpartition("/")[0]
    return common if common.count("/") >= 3 or not is_s3(uris[0]) else "s3:/"
