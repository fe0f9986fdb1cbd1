"""A part proves that it is whole and whose it is."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crater_ray.runs.columns import LATER, SCHEMA
from crater_ray.runs.part import DamagedPart, decode, digest, encode, name, shard_of


def rows(count: int = 50) -> pa.Table:
    """Rows with values in the columns of version 0.1.0; later columns are null."""
    values = {
        "key": [f"k{i:03d}" for i in range(count)],
        "uri": [f"file:///k{i:03d}.jpg" for i in range(count)],
        "status": ["ok"] * (count - 1) + ["unreadable"],
        "error": [None] * (count - 1) + ["the file is empty (0 bytes)"],
        "height": [384] * (count - 1) + [None],
        "width": [512] * (count - 1) + [None],
        "score": [i / count for i in range(count - 1)] + [None],
        "x": [1.5] * count,
        "y": [None] * count,
        "bundle": ["abc"] * count,
        "stage": ["full"] * (count - 1) + [None],
        "diameter": [11.5, *[None] * (count - 1)],
        "places": [None, [{"x": 1.5, "y": 2.0, "score": 0.1, "diameter": None}], *[None] * (count - 2)],
    }
    return pa.table(dict.fromkeys(SCHEMA.names, [None] * count) | values, schema=SCHEMA)


def encode_as_before(table: pa.Table, run_id: str, shard: int) -> bytes:
    """A part as versions without `LATER` wrote it: their digest was over the columns that there were."""
    old = table.drop_columns(list(LATER))
    metadata = {"run_id": run_id, "shard": str(shard), "rows": str(old.num_rows), "digest": digest(old)}
    sink = io.BytesIO()
    named = {f"crater_ray.{name}": value for name, value in metadata.items()}
    pq.write_table(old.replace_schema_metadata(named), sink)
    return sink.getvalue()


def test_comes_back_as_it_was() -> None:
    data, footer = encode(rows(), "run", 3)
    back, read = decode(data, "run", 3)
    assert back.equals(rows())
    assert read == footer
    assert (read.shard, read.rows) == (3, 50)


def test_digest_does_not_depend_on_chunks_but_on_every_value() -> None:
    table = rows()
    assert digest(pa.concat_tables([table.slice(0, 7), table.slice(7)])) == digest(table)
    for column, value in (
        ("score", 0.123),
        ("error", "other"),
        ("y", 0.0),
        ("status", "missing"),
        ("diameter", 3.0),
        ("places", []),
    ):
        changed = table[column].to_pylist()
        changed[4] = value
        position = table.schema.get_field_index(column)
        other = table.set_column(position, SCHEMA.field(column), pa.array(changed, SCHEMA.field(column).type))
        assert digest(other) != digest(table), column


def test_a_part_of_an_earlier_version_reads_with_empty_columns() -> None:
    back, _ = decode(encode_as_before(rows(), "run", 3), "run", 3)
    assert back.schema.equals(SCHEMA)
    assert LATER
    assert all(back[name].null_count == 50 for name in LATER)
    assert back.drop_columns(list(LATER)).equals(rows().drop_columns(list(LATER)))


def test_digest_of_columns_without_later_ones_is_what_it_always_was() -> None:
    old = rows(3).drop_columns(list(LATER))
    assert digest(old) == "2a267dd93ea152f33cc3213cf3e4c53ff5accb15cff580e1816603e63eefe36a"


def test_other_columns_are_refused() -> None:
    data, _ = encode(rows(), "run", 3)
    table = pq.read_table(io.BytesIO(data))
    sink = io.BytesIO()
    pq.write_table(table.drop_columns(["stage"]), sink)
    with pytest.raises(DamagedPart, match="columns"):
        decode(sink.getvalue(), "run", 3)


def test_every_cut_and_most_flips_are_noticed() -> None:
    data, _ = encode(rows(), "run", 3)
    for length in range(0, len(data), 97):
        with pytest.raises(DamagedPart):
            decode(data[:length], "run", 3)
    silent = 0
    for position in range(0, len(data), 31):
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        try:
            back, _ = decode(bytes(flipped), "run", 3)
        except DamagedPart:
            continue
        silent += 1
        assert back.equals(rows()), f"byte {position} changed rows unnoticed"
    assert silent < len(data) / 31 / 2


@pytest.mark.parametrize(("run_id", "shard"), [("other", 3), ("run", 4)])
def test_parts_of_others_are_refused(run_id: str, shard: int) -> None:
    data, _ = encode(rows(), "run", 3)
    with pytest.raises(DamagedPart):
        decode(data, run_id, shard)


def test_names() -> None:
    assert name(0) == "parts/part-00000.parquet"
    assert name(123456) == "parts/part-123456.parquet"
    assert [shard_of(name(i)) for i in (0, 7, 99999, 123456)] == [0, 7, 99999, 123456]
    for other in ("parts/part-0.parquet", "parts/part-00000.parquet.tmp", "parts/x", "parts/part-000001.parquet"):
        assert shard_of(other) is None
