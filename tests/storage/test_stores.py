"""What every store does alike; and a made-up third one, which nothing outside its file knows, is scanned."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crater_ray.errors import UsageError
from crater_ray.images.fetch import fetch
from crater_ray.images.listing import open_archive
from crater_ray.runs.manifest import build
from crater_ray.runs.run import open_existing
from crater_ray.storage import bulk
from crater_ray.storage.access import Access
from crater_ray.storage.base import Store
from crater_ray.storage.bulk import Answer
from crater_ray.storage.errors import StorageError, TooLarge
from crater_ray.storage.folder import open_folder
from crater_ray.storage.registry import STORES, store_at
from testbed.local_azure import LocalAzure
from testbed.local_gcs import LocalGcs
from testbed.local_s3 import LocalS3
from tests.conftest import PATIENCE, make_images
from tests.storage.made_store import SqliteStore, register

OBJECTS = {"a/one": b"1", "a/two": b"22", "a/deep/three": b"", "b": b"4444", "odd name+%41 ü#?.bin": b"55555"}


@pytest.fixture
def made_store() -> Iterator[None]:
    register()
    yield
    del STORES[SqliteStore.scheme]


@pytest.fixture(params=["file", "s3", "gs", "az", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, str]:
    """A store and the address of a folder in it that is not there yet."""
    address, access = str(tmp_path / "some" / "folder"), Access()
    if request.param == "s3":
        server: LocalS3 = request.getfixturevalue("s3")
        bucket = f"stores-{tmp_path.name.replace('_', '-').lower()[:40]}"
        server.client.create_bucket(Bucket=bucket)
        address, access = f"s3://{bucket}/some/folder", Access(server.endpoint_url)
    elif request.param in ("gs", "az"):
        bucket = f"stores-{tmp_path.name.replace('_', '-').lower()[:40]}"
        service: LocalGcs | LocalAzure = request.getfixturevalue({"gs": "gcs", "az": "azure"}[request.param])
        service.create(bucket)
        address, access = f"{request.param}://{bucket}/some/folder", Access(service.endpoint_url)
    elif request.param == "sqlite":
        request.getfixturevalue("made_store")
        address = f"sqlite://{tmp_path}/objects.db/some/folder"
    store = store_at(address, access)
    assert store.scheme == request.param
    return store, store.absolute(address + "/")


def fill(store: Store, folder: str) -> None:
    for name, data in OBJECTS.items():
        store.put(f"{folder}/{name}", data)


def bytes_of(answer: Answer) -> bytes:
    assert isinstance(answer, bytes | memoryview), answer
    return bytes(answer)


def test_objects_are_listed_by_folder_and_beginning(place: tuple[Store, str]) -> None:
    store, folder = place
    fill(store, folder)
    store.put(f"{folder}-elsewhere/c", b"not below the folder")
    found = [found for page in store.objects(folder) for found in page]
    assert {one.name: one.size for one in found} == {name: len(data) for name, data in OBJECTS.items()}
    assert all(one.etag for one in found)
    assert {one.name: store.get(one.uri) for one in found} == OBJECTS
    assert {one.name for page in store.objects(folder, "a/") for one in page} == {"a/one", "a/two", "a/deep/three"}
    assert {one.name for page in store.objects(folder, "a/t") for one in page} == {"a/two"}


def test_many_objects_come_in_order_and_what_does_not_says_why(
    place: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSES", (0.01,))
    store, folder = place
    fill(store, folder)
    uris = [store.uri(f"{folder}/{name}") for name in (*OBJECTS, "a/none", *reversed(OBJECTS))]
    answers = list(store.get_many(uris, [None] * len(uris), 4))
    assert [bytes_of(answer) for answer in (*answers[:4], *answers[7:])] == [
        *list(OBJECTS.values())[:4],
        *list(OBJECTS.values())[3::-1],
    ]
    assert isinstance(answers[5], FileNotFoundError)
    assert str(answers[5])
    assert [getattr(answers[i], "size", None) for i in (4, 6)] == [5, 5]
    assert isinstance(answers[4], TooLarge)


@pytest.mark.parametrize("place", ["s3", "gs", "az", "sqlite"], indirect=True)
def test_an_object_of_another_length_than_listed_is_a_fault_until_the_last_try(
    place: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSES", (0.01,))
    store, folder = place
    fill(store, folder)
    uri = [store.uri(f"{folder}/b")]
    answer = next(store.get_many(uri, [7], 100))
    assert isinstance(answer, StorageError)
    assert "4 bytes came, 7 were listed" in str(answer)
    assert bytes_of(next(store.get_many(uri, [7], 100, last_try=True))) == b"4444"


def test_a_folder_publishes_and_forgets_whole_objects(place: tuple[Store, str], tmp_path: Path) -> None:
    store, address = place
    folder = open_folder(address, store.access)
    assert list(folder.names()) == []
    with pytest.raises(FileNotFoundError):
        folder.read("run.json")
    folder.remove("run.json")
    (tmp_path / "content").write_bytes(b"from a file")
    folder.publish("run.json", b"first")
    folder.publish("run.json", tmp_path / "content")
    folder.publish("parts/0", b"rows")
    assert folder.read("run.json") == b"from a file"
    assert sorted(folder.names()) == [("parts/0", 4), ("run.json", 11)]
    assert list(folder.names("parts/")) == [("parts/0", 4)]
    with folder.local_copy("parts/0") as path:
        assert path.read_bytes() == b"rows"
    with pytest.raises(FileNotFoundError), folder.local_copy("parts/1"):
        pass
    folder.remove("run.json")
    assert list(folder.names()) == [("parts/0", 4)]


def test_addresses_of_no_store_are_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError) as refused:
        store_at("ftp://host/x")
    said = str(refused.value)
    assert said.startswith("An address must be a local path, s3://bucket/prefix, ")
    assert said.endswith("; received: 'ftp://host/x'")
    assert all(store.example in said for store in STORES.values())


SCAN = """
import sys
import ray
from rich.console import Console
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from tests.storage import made_store
made_store.register()
ray.init(runtime_env={"worker_process_setup_hook": "tests.storage.made_store.register"}, log_to_driver=False)
outcome = scan(ScanSettings(sys.argv[1], sys.argv[2], engine="stand-in", shard_images=5), Console())
assert outcome.check.whole
"""


@pytest.mark.slow
def test_a_made_up_store_is_listed_fetched_from_scanned_and_holds_the_run(
    made_store: None, shared_ray: None, tmp_path: Path
) -> None:
    keys = make_images(tmp_path / "images", 12)
    archive, run = f"sqlite://{tmp_path}/archive.db/real", f"sqlite://{tmp_path}/runs.db/first"
    target = open_folder(archive)
    for key in keys:
        name = f"{key}/{key}-001.jpg"
        target.publish(name, tmp_path / "images" / name)
    target.publish("labels.csv", b"key,label\n")

    listing = open_archive(f"{archive}/", Access())
    table, _ = build(listing.batches)
    assert table["key"].to_pylist() == sorted(keys)
    assert listing.ignored == {".csv": 1}
    fetched = list(fetch(table["uri"].to_pylist(), Access(), table["size"].to_pylist()))
    assert [bytes(data[:3]) for data in fetched if isinstance(data, bytes)] == [b"\xff\xd8\xff"] * 12
    (tmp_path / "keys.txt").write_text("\n".join(keys[:3]))
    listed, _ = build(open_archive(str(tmp_path / "keys.txt"), Access(), archive).batches)
    assert listed["uri"].to_pylist() == sorted(f"{archive}/{key}/{key}-001.jpg" for key in keys[:3])

    command = [sys.executable, "-c", SCAN, archive, run]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert answer.returncode == 0, answer.stderr
    with open_existing(run) as opened:
        assert opened.check().statuses == {"ok": 12}
        assert opened.record["settings"]["source"] == archive
        assert [key for rows in opened.parts() for key in rows["key"].to_pylist()] == sorted(keys)


def test_objects_with_content_whose_names_end_like_folders_are_counted(made_store: None, tmp_path: Path) -> None:
    # Amazon's S3 lists such names as they are, which the server of these tests does not.
    address = f"sqlite://{tmp_path}/many.db/real"
    store = store_at(address, Access())
    for name, content in (("a.jpg", b"1"), ("marker/", b""), ("odd.jpg/", b"pixels")):
        store.put(f"{address}/{name}", content)
    listing = open_archive(address, Access())
    table, _ = build(listing.batches)
    assert table["key"].to_pylist() == ["a"]
    assert listing.passed_over() == {".jpg": 1}
