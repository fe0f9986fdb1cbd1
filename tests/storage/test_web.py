"""The web as a store: addresses as they are, answers as servers give them, and nothing secret taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.images.listing import open_archive
from crater_ray.runs.manifest import build
from crater_ray.scanning.loader import load
from crater_ray.storage import bulk
from crater_ray.storage import web as web_store
from crater_ray.storage.access import Access
from crater_ray.storage.bulk import Answer
from crater_ray.storage.errors import ObjectError, StorageError, TooLarge
from crater_ray.storage.registry import store_at
from testbed import local_web
from testbed.local_web import LocalWeb

NAMES = ("a.jpg", "a b+c.jpg", "ü#4 50%.jpg", "deep/x.jpg")


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWeb]:
    monkeypatch.setattr(bulk, "PAUSES", (0.01,))
    web_store._pool.cache_clear()
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (120, 100), 99).save(tmp_path / name)
    with local_web.serving(tmp_path) as server:
        yield server
    web_store._pool.cache_clear()


def get(address: str, longest: int = 10**6) -> Answer:
    return next(store_at(address).get_many([store_at(address).absolute(address)], [None], longest))


def test_lists_on_the_web_with_relative_and_whole_entries(web: LocalWeb, tmp_path: Path) -> None:
    whole = f"{web.url}/image?name=a.jpg"
    (tmp_path / "list.txt").write_text("\n".join([*NAMES, whole, f"{web.url}/deep/x.jpg", f"{web.url}/none.jpg"]))
    listing = open_archive(f"{web.url}/list.txt", Access())
    table, repeated = build(listing.batches)
    assert repeated == 1
    loaded, _ = load(table["uri"].to_pylist(), Access())
    statuses = dict(zip(table["key"].to_pylist(), loaded.status, strict=True))
    assert statuses.pop("none") == "missing"
    assert set(statuses.values()) == {"ok"}
    assert len(statuses) == 5
    (tmp_path / "keys.txt").write_text("fm_1\n")
    table, _ = build(open_archive(str(tmp_path / "keys.txt"), Access(), f"{web.url}/real").batches)
    assert table["uri"].to_pylist() == [f"{web.url}/real/fm_1/fm_1-001.jpg"]


@pytest.mark.parametrize("answer", ["moved", "chunked", "gzip", 503, 429])
def test_answers_that_end_in_the_file(web: LocalWeb, tmp_path: Path, answer: int | str) -> None:
    web.answers["/a.jpg"] = answer
    web.times = 2
    data = get(f"{web.url}/a.jpg")
    assert isinstance(data, bytes)
    assert data == (tmp_path / "a.jpg").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "problem"),
    [(404, FileNotFoundError), (410, FileNotFoundError), (400, ObjectError), (403, StorageError), (500, StorageError)],
)
def test_answers_that_are_none(web: LocalWeb, answer: int, problem: type[Exception]) -> None:
    web.answers["/a.jpg"] = answer
    assert isinstance(get(f"{web.url}/a.jpg"), problem)


def test_bodies_that_end_early_or_come_slowly_are_the_fault_of_storage(
    web: LocalWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_store, "RETRIES", 0)
    web.answers["/a.jpg"] = "cut"
    assert isinstance(get(f"{web.url}/a.jpg"), StorageError)
    monkeypatch.setattr(web_store, "READ_SECONDS", 1.5)
    monkeypatch.setattr(web_store, "CHUNK", 1)
    web.answers["/a.jpg"] = "drip"
    answer = get(f"{web.url}/a.jpg", longest=1)
    assert isinstance(answer, StorageError | TooLarge)
    assert isinstance(get("http://127.0.0.1:9/a.jpg"), StorageError)


@pytest.mark.parametrize("answer", ["", "chunked", "gzip"])
def test_long_files_are_refused_unread(web: LocalWeb, tmp_path: Path, answer: str) -> None:
    (tmp_path / "long.jpg").write_bytes(bytes(100_000))
    if answer:
        web.answers["/long.jpg"] = answer
    assert isinstance(get(f"{web.url}/long.jpg", 50_000), TooLarge)


@pytest.mark.parametrize(
    "address",
    [
        "https://me:hunter2@host/x.jpg",
        "https://bucket.s3.amazonaws.com/x.jpg?X-Amz-Algorithm=A&X-Amz-Signature=hunter2",
        "https://storage.googleapis.com/b/x.jpg?X-Goog-Signature=hunter2",
        "https://account.blob.core.windows.net/c/x.jpg?sv=2021&sig=hunter2",
        "https://host/x.jpg?access_token=hunter2",
    ],
)
def test_addresses_that_hold_secrets_are_refused_without_repeating_them(address: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"https://host/y.jpg\n{address}\n")
    with pytest.raises(UsageError, match="must not hold") as caught:
        list(open_archive(str(tmp_path / "list.txt"), Access()).batches)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsageError, match="must not hold") as caught:
        open_archive(address.replace("x.jpg", "list.txt"), Access())
    assert "hunter2" not in str(caught.value)


def test_harmless_queries_stay() -> None:
    assert store_at("https://h/i").absolute("https://h/i?id=3&page=2") == "https://h/i?id=3&page=2"
    assert store_at("https://h/i").absolute("https://h/ü #4.jpg") == "https://h/%C3%BC%20%234.jpg"
    assert store_at("https://h/i").absolute("https://h/a%20b%2Fc.jpg") == "https://h/a%20b%2Fc.jpg"
    with pytest.raises(UsageError, match="must look like"):
        store_at("https://h/i").absolute("https:///x.jpg")
