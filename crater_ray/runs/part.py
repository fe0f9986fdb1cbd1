"""A part: the published rows of one shard, with a footer that proves whose they are and that they are whole."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crater_ray.errors import CraterRayError
from crater_ray.runs.columns import LATER, SCHEMA
from crater_ray.storage.folder import Folder

FORMAT = "1"
MAX_ROWS, MAX_BYTES = 10_000_000, 2 << 30
"""A part that claims more is not read: it is none of ours, and would take the memory of whoever checks the run."""
_NAME = re.compile(r"parts/part-(\d{5,})\.parquet")


class DamagedPart(CraterRayError):
    """A part that is not whole, or not of this run; its shard has to be done again."""


@dataclass(frozen=True)
class Footer:
    """What a part says of itself.

    Attributes:
        run_id: the run it belongs to.
        shard: its shard's number.
        rows: how many images.
        digest: SHA-256 of the rows, see `digest`.
        published: when, ISO 8601 UTC.
    """

    run_id: str
    shard: int
    rows: int
    digest: str
    published: str


def name(shard: int) -> str:
    """The part's name within the run folder."""
    return f"parts/part-{shard:05d}.parquet"


def shard_of(part_name: str) -> int | None:
    """The shard that a name within the run folder stands for; None when it is no part's name."""
    match = _NAME.fullmatch(part_name)
    return int(match[1]) if match and name(int(match[1])) == part_name else None


def digest(rows: pa.Table) -> str:
    """SHA-256 over those columns of `SCHEMA` that there are, independent of how Arrow or Parquet store them."""
    total = hashlib.sha256()
    for field in SCHEMA:
        if field.name not in rows.column_names:
            continue
        column = rows[field.name].combine_chunks()
        missing = column.is_null().to_numpy(zero_copy_only=False)
        total.update(f"{field.name}:{field.type}:{len(column)}:".encode())
        total.update(np.packbits(missing).tobytes())
        if pa.types.is_string(field.type) or pa.types.is_list(field.type):
            values = column.to_pylist()
            if pa.types.is_list(field.type):  # JSON keeps every float exactly
                values = ["" if value is None else json.dumps(value) for value in values]
            texts = [(text or "").encode() for text in values]
            total.update(np.asarray([len(text) for text in texts], "<i8").tobytes())
            total.update(b"".join(texts))
        else:
            values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
            total.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()


def encode(rows: pa.Table, run_id: str, shard: int) -> tuple[bytes, Footer]:
    """The bytes of a part, with page checksums and its footer.

    Args:
        rows: one row per image of the shard, schema `SCHEMA`, in the manifest's order.
        run_id: the run.
        shard: the shard's number.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    footer = Footer(run_id, shard, rows.num_rows, digest(rows), now)
    metadata = {
        "crater_ray.format": FORMAT,
        "crater_ray.run_id": run_id,
        "crater_ray.shard": str(shard),
        "crater_ray.rows": str(rows.num_rows),
        "crater_ray.digest": footer.digest,
        "crater_ray.published": footer.published,
    }
    sink = io.BytesIO()
    table = rows.cast(SCHEMA).replace_schema_metadata(metadata)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue(), footer


def decode(data: bytes, run_id: str, shard: int) -> tuple[pa.Table, Footer]:
    """Read a part back and check all that its footer promises.

    Raises:
        DamagedPart: it is cut short, altered, of another run or of another shard.
    """
    where = name(shard)
    try:
        # Not buffered ahead: a thread of Arrow's was seen to let go of Python's bytes while the interpreter ended,
        # which aborted the process.
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True, pre_buffer=False)
        if not _has_columns(file.schema_arrow):
            raise DamagedPart(f"{where} does not have a part's columns")
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > MAX_ROWS or sum(group.total_byte_size for group in groups) > MAX_BYTES:
            raise DamagedPart(f"{where} claims {file.metadata.num_rows:,} rows, or more bytes than a part can have")
        rows = file.read(use_threads=False)
        found = digest(rows)
    except (OSError, pa.ArrowException, ValueError) as problem:
        raise DamagedPart(f"{where} is damaged: {' '.join(str(problem).split())[:200]}") from None
    if found is None:
        raise DamagedPart(f"{where} does not have a part's columns")
    texts = [[text.decode("utf-8", "replace")[:100] for text in pair] for pair in (rows.schema.metadata or {}).items()]
    metadata = dict(texts)
    claimed = {field: metadata.get(f"crater_ray.{field}", "") for field in ("run_id", "shard", "rows", "digest")}
    if claimed["run_id"] != run_id:
        raise DamagedPart(f"{where} belongs to the run {claimed['run_id']!r}, not to {run_id!r}")
    if (claimed["shard"], claimed["rows"]) != (str(shard), str(rows.num_rows)):
        raise DamagedPart(
            f"{where} says shard {claimed['shard']!r} with {claimed['rows']!r} rows; read {rows.num_rows}"
        )
    if claimed["digest"] != found:
        raise DamagedPart(f"{where} was altered: its rows do not have the digest in its footer")
    footer = Footer(run_id, shard, rows.num_rows, claimed["digest"], metadata.get("crater_ray.published", ""))
    return _complete(rows.replace_schema_metadata(None)), footer


def read(folder: Folder, run_id: str, shard: int) -> tuple[pa.Table, Footer]:
    """The rows of one shard of a run.

    Raises:
        FileNotFoundError: the shard has not been published.
        DamagedPart: its part is not whole or not of this run.
    """
    return decode(folder.read(name(shard)), run_id, shard)


def _has_columns(schema: pa.Schema) -> bool:
    """Whether these are a part's columns; the `LATER` ones may be missing."""
    expected = [field for field in SCHEMA if field.name in schema.names or field.name not in LATER]
    return bool(schema.equals(pa.schema(expected), check_metadata=False))


def _complete(rows: pa.Table) -> pa.Table:
    for field in SCHEMA:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(SCHEMA.names)
