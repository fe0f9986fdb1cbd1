"""Input made by an enemy: images, keys, run folders, key lists and bundles. It costs a row or a line, never a scan."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin
from rich.console import Console

from benchmarks.local_s3 import PUBLIC, LocalS3
from crater_ray import bundle, lease, manifest, part
from crater_ray.archive import LISTING, local_path, open_archive
from crater_ray.decode import MAX_PIXELS, MAX_SCANS, UNREADABLE, UNSUPPORTED, Refusal, decode
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.folder import open_folder
from crater_ray.lease import Lease
from crater_ray.loader import bounded_memory, load
from crater_ray.manifest import Manifest, Selection, build
from crater_ray.network import RECEPTIVE_FIELD
from crater_ray.run import open_existing
from crater_ray.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage import Access
from tests.made_runs import ODD_KEYS, make_run, row
from tests.test_decode import GOOD, png_of

quickly = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
Cli = Callable[..., subprocess.CompletedProcess[str]]


@cache
def good(name: str) -> bytes:
    return GOOD[name]()


def check_verdict(data: bytes) -> None:
    """Whatever the bytes are: gray pixels of a size that the network takes, or a reason in one printable line."""
    answer = decode(data)
    if isinstance(answer, Refusal):
        assert answer.status in (UNREADABLE, UNSUPPORTED)
        assert answer.reason
        assert answer.reason.isprintable()
    else:
        assert answer.dtype == np.uint8
        assert min(answer.shape) >= RECEPTIVE_FIELD
        assert answer.size <= MAX_PIXELS


@quickly
@given(st.data())
def test_damaged_images_of_every_kind_get_a_verdict(data: st.DataObject) -> None:
    image = bytearray(good(data.draw(st.sampled_from(sorted(GOOD)))))
    # The first bytes decide how the rest is understood, so they are hit as often as all others together.
    place = st.integers(0, min(200, len(image) - 1)) | st.integers(0, len(image) - 1)
    for position, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=20)):
        image[position] = value
    if data.draw(st.booleans()):
        del image[data.draw(place) :]
    elif data.draw(st.booleans()):
        start = data.draw(place)
        image[start:start] = image[data.draw(place) :][: data.draw(st.integers(0, 2_000))]
    check_verdict(bytes(image))


@quickly
@given(
    st.sampled_from([b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0", b""]),
    st.binary(max_size=400),
)
@example(b"", b"\x1b]0;title\x07" * 3)
def test_bytes_that_begin_like_an_image_get_a_verdict(magic: bytes, rest: bytes) -> None:
    check_verdict(magic + rest)


def tiff(entries: list[tuple[int, int, int, bytes]], beyond: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, 4 bytes), then what offsets point to."""
    body = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following) + beyond


def long(value: int) -> bytes:
    return struct.pack("<I", value)


def gray_tiff(width: int, height: int, **more: int) -> list[tuple[int, int, int, bytes]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 400, 277: 1, 278: height, 279: width * height}
    tags |= {int(tag.removeprefix("t")): value for tag, value in more.items()}
    return [(tag, 4, 1, long(value)) for tag, value in tags.items()]


def tiff_of_many_frames(frames: int) -> bytes:
    """Sound first frame, then a chain of directories with nothing in them; the last one leads back to the first."""
    first = tiff(gray_tiff(100, 100), bytes(300 + 100 * 100))
    start = len(first)
    empty = b"".join(
        struct.pack("<HHHI4sI", 1, 256, 4, 1, long(100), start + 18 * (n + 1) if n < frames - 1 else 8)
        for n in range(frames)
    )
    at = 8 + 2 + 12 * 9
    return first[:at] + long(start) + first[at + 4 :] + empty


def tiff_with_tags_that_share_their_data() -> bytes:
    """65,000 tags, each of which claims the same megabyte."""
    shared = 10 + 12 * 65_000
    entries = gray_tiff(100, 100, t273=shared)
    entries += [(tag, 7, 1_000_000, long(shared)) for tag in range(400, 65_400 - len(entries))]
    return tiff(entries, bytes(1_100_000))


def jpeg_with_exif_that_shares_its_data() -> bytes:
    """EXIF in many segments that together make one directory of many tags, each with all of it as its value."""
    entries = [(tag, 7, 1_000_000, long(8)) for tag in range(400, 60_000)]
    exif = tiff(entries, bytes(1_000_000))
    pieces = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(piece) + 8) + b"Exif\0\0" + piece for piece in pieces)
    image = good("gray jpeg")
    return image[:2] + segments + image[2:]


def png_with_texts_that_unpack() -> bytes:
    """A sound image behind texts and a colour profile of a gigabyte each."""
    image = good("gray png")
    packed = zlib.compress(bytes(100_000_000))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    extra = chunk(b"iCCP", b"p\0\0" + packed) + chunk(b"zTXt", b"t\0\0" + packed)
    return image[:33] + extra + image[33:]


def jpeg_of(width: int, height: int) -> bytes:
    image = bytearray(good("gray jpeg"))
    frame = image.index(b"\xff\xc0")
    image[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(image)


def jpeg_of_many_scans() -> bytes:
    image = good("progressive jpeg")
    last, end = image.rindex(b"\xff\xda"), image.rindex(b"\xff\xd9")
    return image[:last] + image[last:end] * 20_000 + image[end:]


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "png of 3.6 gigapixels": (lambda: png_of(60_000, 60_000), UNSUPPORTED),
    "png of 72 megapixels": (lambda: png_of(8_000, 9_000), UNSUPPORTED),
    "jpeg of 4 gigapixels": (lambda: jpeg_of(65_500, 65_500), UNSUPPORTED),
    "tiff of 4 gigapixels": (lambda: tiff(gray_tiff(65_000, 65_000, t259=8), bytes(1_000)), UNSUPPORTED),
    "tiff of exapixels": (lambda: tiff(gray_tiff(2**31 - 1, 2**31 - 1, t279=10), bytes(1_000)), UNSUPPORTED),
    "tiff with a gigantic tile": (
        lambda: tiff(gray_tiff(100, 100, t259=8, t322=60_000, t323=60_000, t324=400, t325=900), bytes(1_000)),
        UNSUPPORTED,
    ),
    "tiff of a million frames": (lambda: tiff_of_many_frames(1_000_000), "ok"),
    "tiff with tags that share their data": (tiff_with_tags_that_share_their_data, ""),
    "jpeg with EXIF that shares its data": (jpeg_with_exif_that_shares_its_data, ""),
    "png with texts that unpack": (png_with_texts_that_unpack, ""),
    "jpeg of 20,000 scans": (jpeg_of_many_scans, UNSUPPORTED),
}
MEASURED = """
import re, sys, time
from pathlib import Path
from crater_ray.decode import Refusal, decode
from PIL import Image
Image.init()
data = Path(sys.argv[1]).read_bytes()

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before, started = peak(), time.process_time()
answer = decode(data)
print(answer.status if isinstance(answer, Refusal) else "ok", (peak() - before) // 1024, time.process_time() - started)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_take_memory_or_time(name: str, tmp_path: Path) -> None:
    make, status = BOMBS[name]
    data = make()
    (tmp_path / "bomb").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path / "bomb")], capture_output=True, text=True, timeout=60, check=True
    )
    said, megabytes, seconds = done.stdout.split()
    assert said == status or not status, said
    assert int(megabytes) < 60 + 3 * len(data) // 2**20, "decoding it took memory that it should not"
    assert float(seconds) < 20, "decoding it took processor time that it should not"


def test_many_scans_are_counted_and_few_are_fine() -> None:
    answer = decode(jpeg_of_many_scans())
    assert isinstance(answer, Refusal)
    assert f"more than {MAX_SCANS}" in answer.reason
    assert isinstance(decode(good("progressive jpeg")), np.ndarray)


def test_largest_images_of_every_kind_stay_within_the_stated_memory(tmp_path: Path) -> None:
    """The page of guarantees says at most 800 MB; this is the kind that needs most."""
    side = int(MAX_PIXELS**0.5)
    Image.new("CMYK", (side, side)).save(tmp_path / "large.jpg", progressive=True)
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "large.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    said, megabytes, _ = done.stdout.split()
    assert said == "ok"
    assert 100 < int(megabytes) < 800


def test_turned_tiff_is_scored_as_stored() -> None:
    out = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = 6  # "turn by 90 degrees"
    Image.fromarray(np.zeros((110, 130), np.uint8)).save(out, "TIFF", tiffinfo=tags)
    pixels = decode(out.getvalue())
    assert isinstance(pixels, np.ndarray)
    assert pixels.shape == (110, 130)


def test_jpeg_whose_end_marker_comes_early_is_noticed() -> None:
    image = good("gray jpeg")
    middle = len(image) // 2
    cut = image[:middle].rstrip(b"\xff") + b"\xff\xd9" + image[middle + 2 :]
    answer = decode(cut)
    assert isinstance(answer, Refusal)
    assert answer.status == UNREADABLE
    assert "lower part is missing" in answer.reason
    padded = image + bytes(512)  # padding behind a sound image is common
    assert isinstance(decode(padded), np.ndarray)


def test_memory_beyond_the_bound_is_a_row_not_a_crash(tmp_path: Path) -> None:
    """The limit of the loader's own process: what asks for more gets a refusal, and the next image is read."""
    side = 7_900
    Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / "large.png")
    (tmp_path / "small.png").write_bytes(good("gray png"))
    code = (
        "import sys\nfrom crater_ray import loader\nfrom crater_ray.storage import Access\n"
        "loader.bounded_memory.__wrapped__.__defaults__ = (50_000_000,)\n"
        "print(loader.load(sys.argv[1:], Access())[0].status)\n"
    )
    uris = [f"file://{tmp_path}/{name}.png" for name in ("small", "large", "small")]
    done = subprocess.run([sys.executable, "-c", code, *uris], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "['ok', 'unsupported', 'ok']", done.stderr
    with bounded_memory(50_000_000), pytest.raises(MemoryError):
        np.zeros(500_000_000, np.uint8).fill(1)
    np.zeros(100_000_000, np.uint8).fill(1)  # the bound is gone again


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
            file.write(good("gray png"))
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
        s3.client.put_object(Bucket=PUBLIC, Key=key, Body=good("gray png"))
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


@pytest.fixture
def made(tmp_path: Path) -> Path:
    make_run(tmp_path / "run", [row(f"k{number}", number / 10) for number in range(8)])
    return tmp_path / "run"


def part_of(rows: pa.Table, run_id: str, **more: str) -> bytes:
    _, footer = part.encode(part.SCHEMA.empty_table(), run_id, 1)
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
    "other types": lambda run: part_of(
        pa.table({field.name: pa.array([b"x"], pa.binary()) for field in part.SCHEMA}), run
    ),
    "huge metadata": lambda run: part_of(part.SCHEMA.empty_table(), run, digest="x" * 20_000_000),
    "of another run": lambda run: part.encode(part.SCHEMA.empty_table(), "0" * 32, 1)[0],
    "of another shard": lambda run: part.encode(part.SCHEMA.empty_table(), run, 0)[0],
    "empty": lambda run: part.encode(part.SCHEMA.empty_table(), run, 1)[0],
    "doubled rows": lambda run: part.encode(pa.Table.from_pylist([row("k4", 0.1)] * 4, schema=part.SCHEMA), run, 1)[0],
    "a bomb": lambda run: part.encode(pa.Table.from_pylist([row("k", 0.1)] * 2_000, schema=part.SCHEMA), run, 1)[0],
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
    rows = pa.Table.from_pylist([row(f"k{number}", number / 10) for number in range(8)], schema=part.SCHEMA)
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
    from crater_ray.cli_options import console_on
    from crater_ray.report import show_status

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

    monkeypatch.setattr(lease, "WATCH_SECONDS", 1.2)
    folder = open_folder(tmp_path)
    folder.publish(lease.NAME, content.replace(b"HOST", socket.gethostname().encode()))
    said: list[str] = []
    with Lease(folder, said.append):
        assert json.loads(folder.read(lease.NAME))["pid"] == os.getpid()


class Boom:
    """Unpickling it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (self.path,)


def bundle_with(folder: Path, name: str) -> Path:
    """A copy of the shipped bundle with something else in the place of its weights."""
    folder.mkdir()
    card = json.loads((bundle.DEFAULT / "card.json").read_text())
    weights = folder / "weights.npz"
    if name == "pickled objects":
        np.savez(weights, allow_pickle=True, kernel=np.array([Boom(str(folder / "owned"))], object))
    elif name == "a pickle":
        weights.write_bytes(pickle.dumps(Boom(str(folder / "owned"))))
    elif name == "a Keras archive":
        config = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}}
        with zipfile.ZipFile(weights, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    elif name == "weights that unpack":
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }"
        with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("kernel.npy", header.ljust(127) + b"\n" + bytes(200_000_000))
    else:
        weights.write_bytes((bundle.DEFAULT / "weights.npz").read_bytes())
        card |= {"card of numbers": {"typical_threshold": "high"}, "card of lists": {"trained": [1], "figures": 3}}[
            name
        ]
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    "name",
    ["pickled objects", "a pickle", "a Keras archive", "weights that unpack", "card of numbers", "card of lists"],
)
def test_bundle_with_anything_but_weights_is_refused_and_runs_no_code(tmp_path: Path, name: str) -> None:
    folder = bundle_with(tmp_path / "bundle", name)
    with bounded_memory(400_000_000), pytest.raises(UsageError, match="bundle"):
        bundle.load(folder)
    assert not (folder / "owned").exists()


def test_keras_file_is_no_bundle(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK")
    answer = cli("scan", tmp_path, "--out", tmp_path / "run", "--bundle", tmp_path / "model.keras")
    assert answer.returncode == 2
    assert "model.keras" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_keys_cannot_command_a_terminal(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", [row("a\x1b]0;owned\x07\x1b[2J", 0.9), row("b\r\nc", 0.8)])
    listed = cli("candidates", tmp_path / "run")
    assert listed.returncode == 0, listed.stderr
    assert "\x1b" not in listed.stdout + listed.stderr
    assert "\x07" not in listed.stdout + listed.stderr
