"""Listing folders and buckets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crater_ray.errors import UsageError
from crater_ray.images.listing import Listing, open_archive
from crater_ray.runs.manifest import build
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.storage.local import local_path
from testbed.local_s3 import PUBLIC, LocalS3


def keys_and_uris(listing: Listing) -> dict[str, str]:
    table, _ = build(listing.batches)
    return dict(zip(table["key"].to_pylist(), table["uri"].to_pylist(), strict=True))


def test_folder_is_walked_and_other_files_are_counted(tmp_path: Path) -> None:
    for name in ("k/k-001.jpg", "b/deep/x.TIF", "y.png", "labels.csv", "notes.txt", "Makefile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    listing = open_archive(str(tmp_path), Access())
    table, _ = build(listing.batches)
    assert table["key"].to_pylist() == ["b/deep/x", "k", "y"]
    assert table["size"].to_pylist() == [5, 5, 5]
    assert all(table["etag"].to_pylist())
    assert listing.ignored == {".csv": 1, ".txt": 1, "(none)": 1}


def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path) -> None:
    names = (
        "x.png",
        "._x.png",
        "sub/._y.jpg",
        ".DS_Store",
        "a.BMP",
        "b.bmp",
        "sub/._z",
        "dots.001",
        ".partial-a1b2c3d4",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "unmounted").symlink_to(tmp_path / "nowhere")
    listing = open_archive(str(tmp_path), Access())
    assert set(keys_and_uris(listing)) == {"x"}
    expected = {".bmp": 2, "._*": 3, "(none)": 2, ".001": 1, "(broken links)": 1}
    assert listing.passed_over() == expected
    for number in range(100):
        (tmp_path / f"x.{number:03}").write_bytes(b"1")
    listing = open_archive(str(tmp_path), Access())
    assert len(keys_and_uris(listing)) == 1
    assert sum(listing.passed_over().values()) == 109
    assert len(listing.passed_over()) == 31


def test_any_file_name_survives(tmp_path: Path) -> None:
    names = [
        b"a b.jpg",
        b"q\"'<x>.jpg",
        b"new\nline.jpg",
        "ünï.jpg".encode(),
        b"p%41#?.jpg",
        b"bad\xff\xfe.jpg",
        b"..x.jpg",
    ]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(name)
    table, _ = build(open_archive(str(tmp_path), Access()).batches)
    assert table.num_rows == len(names)
    for uri in table["uri"].to_pylist():
        with open(local_path(uri), "rb") as file:
            assert os.path.basename(local_path(uri)) == file.read()


def test_links_that_go_round_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(b"1")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    assert set(keys_and_uris(open_archive(str(tmp_path), Access()))) == {"a/x", "a/gone"}


@pytest.mark.parametrize("source", ["nowhere", "", "ftp://host/x", "s3://"])
def test_sources_that_are_none(source: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        list(open_archive(str(tmp_path / source) if source == "nowhere" else source, Access()).batches)


def test_bucket_is_listed_with_and_without_credentials(s3: LocalS3) -> None:
    for key in ("list/k/k-001.jpg", "list/odd name+%41 ü.jpg", "list/x.txt", "listing-elsewhere/y.jpg"):
        s3.client.put_object(Bucket=PUBLIC, Key=key, Body=b"123")
    expected = {"k": f"s3://{PUBLIC}/list/k/k-001.jpg", "odd name+%41 ü": f"s3://{PUBLIC}/list/odd name+%41 ü.jpg"}
    for access in (Access(s3.endpoint_url, anonymous=True), Access(s3.endpoint_url)):
        listing = open_archive(f"s3://{PUBLIC}/list/", access)
        assert keys_and_uris(listing) == expected
        assert listing.ignored == {".txt": 1}


def test_storage_problems_name_their_cure(s3: LocalS3) -> None:
    s3.client.create_bucket(Bucket="closed")

    def problem(source: str, access: Access) -> str:
        with pytest.raises((StorageError, UsageError)) as caught:
            list(open_archive(source, access).batches)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "--anonymous" in problem("s3://closed/x", Access(s3.endpoint_url, anonymous=True))
    assert "no bucket" in problem("s3://never-made/x", Access(s3.endpoint_url))
    assert "nothing under" in problem(f"s3://{PUBLIC}/nothing-here/", Access(s3.endpoint_url))
    assert "--endpoint-url" in problem(f"s3://{PUBLIC}/x", Access("http://127.0.0.1:9"))


def test_endpoint_must_hold_no_credentials() -> None:
    with pytest.raises(UsageError, match="must not hold credentials"):
        Access("http://me:secret@host:9000")
    with pytest.raises(UsageError, match="http://host:port"):
        Access("host:9000")
