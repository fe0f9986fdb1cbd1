"""Run folders made by an enemy: parts, manifests, records and leases are refused in one line or not believed."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crater_ray.errors import CraterRayError
from crater_ray.runs import lease, manifest, part
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.lease import Lease
from crater_ray.runs.manifest import Manifest
from crater_ray.runs.run import open_existing
from crater_ray.storage.folder import open_folder
from tests.made_runs import make_run, row

quickly = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_run(tmp_path / "run", [row(f"k{number}", number / 10) for number in range(8)])
    return tmp_path / "run"


def part_of(rows: pa.Table, run_id: str, **more: str) -> bytes:
    _, footer = part.encode(SCHEMA.empty_table(), run_id, 1)
    told = {"format": "1", "run_id": run_id, "shard": "1", "rows": str(rows.num_rows), "digest": footer.digest, **more}
    sink = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({f"crater_ray.{name}": text for name, text in told.items()}), sink)
    return sink.getvalue()


HOSTILE_PARTS: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda run: b"",
    "not parquet": lambda run: b"PAR1" + b"\xff" * 100 + b"PAR1",
    "no columns": lambda run: part_of(pa.table({}), run),
    "other columns": lambda run: part_of(pa.table({"key": ["k4"]}), run),
    "nested": lambda run: part_of(pa.table({"key": [{"a": [1]}]}), run),
    "other types": lambda run: part_of(pa.table({field.name: pa.array([b"x"], pa.binary()) for field in SCHEMA}), run),
    "huge metadata": lambda run: part_of(SCHEMA.empty_table(), run, digest="x" * 20_000_000),
    "of another run": lambda run: part.encode(SCHEMA.empty_table(), "0" * 32, 1)[0],
    "of another shard": lambda run: part.encode(SCHEMA.empty_table(), run, 0)[0],
    "empty": lambda run: part.encode(SCHEMA.empty_table(), run, 1)[0],
    "doubled rows": lambda run: part.encode(pa.Table.from_pylist([row("k4", 0.1)] * 4, schema=SCHEMA), run, 1)[0],
    "a bomb": lambda run: part.encode(pa.Table.from_pylist([row("k", 0.1)] * 2_000, schema=SCHEMA), run, 1)[0],
}


@pytest.mark.parametrize("name", HOSTILE_PARTS)
def test_hostile_parts_are_named_and_never_counted(made: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MAX_ROWS", 1_000)
    run = open_existing(made)
    (made / "parts/part-00001.parquet").write_bytes(HOSTILE_PARTS[name](run.id))
    check = open_existing(made).check()
    assert not check.whole
    assert list(check.parts) == [0]
    assert "part-00001" in check.problems[0]
    assert len(check.problems[0]) < 1_000
    assert ("claims 2,000 rows" in check.problems[0]) == (name == "a bomb")


@quickly
@given(st.data())
def test_damaged_parts_are_never_believed(data: st.DataObject) -> None:
    rows = pa.Table.from_pylist([row(f"k{number}", number / 10) for number in range(8)], schema=SCHEMA)
    whole, _ = part.encode(rows, "r", 0)
    altered = bytearray(whole)
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=8)):
        altered[position] ^= data.draw(st.integers(1, 255))
    try:
        found, _ = part.decode(bytes(altered), "r", 0)
    except part.DamagedPart:
        return
    assert found.equals(rows), "other rows than were written passed for sound"


def manifest_of(made: Path, table: pa.Table, run_id: str | None = None) -> None:
    metadata = {b"crater_ray.run_id": (run_id or open_existing(made).id).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), made / "manifest.parquet", row_group_size=4)


HOSTILE_MANIFESTS: dict[str, Callable[[Path, pa.Table], None]] = {
    "other columns": lambda made, table: manifest_of(made, table.drop_columns(["uri"])),
    "other types": lambda made, table: manifest_of(made, table.set_column(2, "size", pa.array(["x"] * table.num_rows))),
    "nested": lambda made, table: manifest_of(made, pa.table({"key": [{"a": 1}]})),
    "of another run": lambda made, table: manifest_of(made, table, "0" * 32),
    "not parquet": lambda made, table: (made / "manifest.parquet").write_bytes(b"PAR1"),
    "keys twice": lambda made, table: manifest_of(made, table.take([0, 1, 2, 3, 3, 5, 6, 7])),
    "keys unsorted": lambda made, table: manifest_of(made, table.take([4, 5, 6, 7, 0, 1, 2, 3])),
    "damaged pages": lambda made, table: (made / "manifest.parquet").write_bytes(
        (data := (made / "manifest.parquet").read_bytes())[:4] + b"\xee" * 300 + data[304:]
    ),
}


@pytest.mark.parametrize("name", HOSTILE_MANIFESTS)
def test_hostile_manifests_are_one_line(made: Path, name: str) -> None:
    HOSTILE_MANIFESTS[name](made, pq.read_table(made / "manifest.parquet").cast(manifest.SCHEMA))
    with open_existing(made) as run:
        try:
            check = run.check()
        except CraterRayError as problem:
            assert "manifest" in str(problem)
            return
    assert not check.whole


def test_manifest_with_one_shard_of_all_images_is_read_shard_by_shard(made: Path) -> None:
    assert Manifest(made / "manifest.parquet", open_existing(made).id).shards == 2


RECORDS: dict[str, Callable[[dict], object]] = {
    "a list": lambda record: [record],
    "deep": lambda record: None,
    "no settings": lambda record: {**record, "settings": []},
    "threshold in words": lambda record: {**record, "settings": {**record["settings"], "threshold": "0.5"}},
    "threshold that is none": lambda record: {**record, "settings": {**record["settings"], "threshold": None}},
    "sessions of numbers": lambda record: {**record, "sessions": [1, 2]},
    "session with odd times": lambda record: {**record, "sessions": [{"started": "yesterday"}]},
    "session with odd figures": lambda record: {
        **record,
        "sessions": [{"started": record["created"], "images_per_minute": "x", "outcome": []}],
    },
    "run id that is a path": lambda record: {**record, "run_id": "../../x"},
    "another format": lambda record: {**record, "format": {"a": 1}},
}


@pytest.mark.parametrize("name", RECORDS)
def test_hostile_run_json_is_one_line(made: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from crater_ray.cli.options import console_on
    from crater_ray.cli.summaries import show_status

    record = RECORDS[name](json.loads((made / "run.json").read_text()))
    text = "[" * 200_000 if name == "deep" else json.dumps(record)
    (made / "run.json").write_text(text)
    try:
        with open_existing(made) as run:
            show_status(run, run.check(), console_on(sys.stdout))
    except CraterRayError as problem:
        assert "\n" not in str(problem)
        return
    assert "k" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"{", b"[" * 200_000, b"\xff\xfe", b'{"parts": 3}'])
def test_hostile_success_is_not_believed(made: Path, content: bytes) -> None:
    """It is a note: what is done is read from the parts."""
    (made / "_SUCCESS").write_bytes(content)
    with open_existing(made) as run:
        run.success()
        assert run.check().whole


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 200_000,
        b'{"pid": 1e400, "host": {}}',
        b'{"host": "HOST", "pid": 99999999999999999999999}',
        b'{"host": "HOST", "pid": -1}',
        b'{"host": "HOST", "pid": 0}',
        b'{"host": "HOST", "pid": true}',
        b'{"host": "\\u001b]0;x\\u0007\\n", "pid": "\\u0000", "holder": null}',
    ],
)
def test_hostile_lease_cannot_hold_a_run(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.5)
    folder = open_folder(tmp_path)
    folder.publish(lease.NAME, content.replace(b"HOST", socket.gethostname().encode()))
    said: list[str] = []
    with Lease(folder, said.append):
        assert json.loads(folder.read(lease.NAME))["pid"] == os.getpid()
