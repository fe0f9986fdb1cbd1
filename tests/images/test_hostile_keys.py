"""Names, keys and key lists made by an enemy: each gets its row or one line."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from crater_ray.errors import UsageError
from crater_ray.images.listing import LISTING, open_archive
from crater_ray.runs.manifest import Selection, build
from crater_ray.runs.run import open_existing
from crater_ray.scanning.loader import load
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from crater_ray.storage.local import local_path
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli
from tests.images.test_decode import GOOD
from tests.made_runs import ODD_KEYS, make_run, row

quickly = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


PIECES = st.sampled_from(
    ["a", "é", "火", " ", "'", '"', "<", "&", "%41", "\n", "\t", "\x00", "\x1b", "\x7f", "\u202e", "\\"]
)
NAMES = st.one_of(
    st.text(min_size=1, max_size=30).filter(lambda text: text.isascii() or _is_unicode(text)),
    st.lists(PIECES | st.sampled_from(["..", ".", "-001", ".jpg", "x"]), min_size=1, max_size=8).map("".join),
)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join).map(lambda path: f"{path}.jpg")


@pytest.mark.slow
@quickly
@given(st.lists(PATHS, min_size=1, max_size=30, unique=True))
@example(["a.jpg", "a.jpg.jpg", "a/a-001.jpg", "b/a.jpg", "../a.jpg", "/a.jpg", "a\n.jpg"])
def test_any_names_make_unique_sorted_keys(paths: list[str]) -> None:
    batch = pa.record_batch(
        {
            "path": paths,
            "uri": [f"s3://b/{path}" for path in paths],
            "size": pa.nulls(len(paths), pa.int64()),
            "etag": pa.nulls(len(paths), pa.string()),
        },
        schema=LISTING,
    )
    table, repeated = build([batch], Selection(), 7)
    keys = table["key"].to_pylist()
    assert repeated == 0
    assert sorted(table["uri"].to_pylist()) == sorted(f"s3://b/{path}" for path in paths)
    assert keys == sorted(set(keys), key=str.encode)


@pytest.mark.slow
def test_files_of_any_name_get_their_row(ray_here: None, tmp_path: Path, quiet: Console) -> None:
    source = os.fsencode(tmp_path / "archive")
    os.mkdir(source)
    names = {
        *(key.replace("/", "_").encode() for key in ODD_KEYS),
        *(bytes([byte]) + b"x" for byte in range(1, 256) if byte != ord("/")),
        b"\xff\xfe\x80",
        b"\xed\xa0\x80 surrogate",
        b"long" * 60,
        b"..",
        b"-rf",
        b"$(reboot)",
    }
    for name in names:
        with open(os.path.join(source, name + b".png"), "wb") as file:
            file.write(GOOD["gray png"]())
    outcome = scan(ScanSettings(os.fsdecode(source), str(tmp_path / "run"), engine="stand-in"), quiet)
    assert outcome.failed == {}
    with open_existing(tmp_path / "run") as run:
        rows = pa.concat_tables(run.parts())
    assert rows.num_rows == len(names)
    assert set(rows["status"].to_pylist()) == {"ok"}
    found = {os.path.basename(local_path(uri)).removesuffix(b".png") for uri in rows["uri"].to_pylist()}
    assert found == names
    assert len(set(rows["key"].to_pylist())) == len(names)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(path=PATHS)
@example(path="../../etc/passwd.jpg")
@example(path="a//b/./c/../d.jpg")
@example(path="k" * 1_100 + ".jpg")
def test_objects_of_any_key_get_a_verdict(s3: LocalS3, path: str) -> None:
    """Keys that the store takes are read back as they are; of others, something is said. None is another's."""
    key = f"hostile/{path}"
    try:
        s3.client.put_object(Bucket=PUBLIC, Key=key, Body=GOOD["gray png"]())
        stored = True
    except Exception:
        stored = False
    uris = [f"s3://{PUBLIC}/{key}"]
    loaded, _ = load(uris, Access(s3.endpoint_url, anonymous=True)) if stored else (None, None)
    assert loaded is None or loaded.status in (["ok"], ["missing"], ["unreadable"])
    if stored and loaded and path.isalnum():
        assert loaded.status == ["ok"]


@quickly
@given(st.sampled_from([".txt", ".csv", ".parquet"]), st.binary(max_size=300))
@example(".csv", b'"' + b"x" * 200_000 + b'"')
@example(".csv", b"a\0b\n")
@example(".txt", b"file:///\xc3\xa9%00.jpg\n../../../etc/passwd\n")
def test_key_lists_of_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / f"list{suffix}"
    file.write_bytes(content)
    try:
        table, _ = build(open_archive(str(file), Access()).batches)
    except UsageError as problem:
        assert str(problem)
        return
    loaded, _ = (
        load(table["uri"].to_pylist()[:10], Access("http://127.0.0.1:9", anonymous=True), last_try=True)
        if all(uri.startswith("file://") for uri in table["uri"].to_pylist())
        else (None, None)
    )
    assert loaded is None or set(loaded.status) <= {"missing", "unreadable", "unsupported"}


ODD_COLUMNS = {
    "nested": pa.array([{"a": 1}, {"a": 2}]),
    "numbers": pa.array([1.5, float("nan")]),
    "binary": pa.array([b"\xff\xfe", b"x"]),
    "lists": pa.array([["a"], []]),
    "none": pa.nulls(2),
    "surrogates": pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(struct.pack("<iii", 0, 3, 4)), pa.py_buffer(b"\xed\xa0\x80x")]
    ),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_key_lists_with_odd_columns_are_refused(name: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ODD_COLUMNS[name]}), tmp_path / "keys.parquet")
    with pytest.raises(UsageError, match="key list"):
        list(open_archive(str(tmp_path / "keys.parquet"), Access()).batches)


def test_keys_cannot_command_a_terminal(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", [row("a\x1b]0;owned\x07\x1b[2J", 0.9), row("b\r\nc", 0.8)])
    listed = cli("candidates", tmp_path / "run")
    assert listed.returncode == 0, listed.stderr
    assert "\x1b" not in listed.stdout + listed.stderr
    assert "\x07" not in listed.stdout + listed.stderr
