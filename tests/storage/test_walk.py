"""Walking folders with links: told by identity, each folder is listed once, and what goes round ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crater_ray.images.listing import open_archive
from crater_ray.runs.manifest import build
from crater_ray.scanning.loader import load
from crater_ray.storage.access import Access
from crater_ray.storage.walk import walk


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1")


def walked(top: Path) -> list[str]:
    return [os.fsdecode(path) for path in walk(os.fsencode(top))]


def test_linked_folder_whose_path_begins_like_the_sources(tmp_path: Path) -> None:
    make(tmp_path, "foils/a.jpg", "foils_2024/b.jpg", "foils_2024/deep/c.jpg")
    (tmp_path / "foils" / "new").symlink_to(tmp_path / "foils_2024")
    assert walked(tmp_path / "foils") == ["a.jpg", "new/b.jpg", "new/deep/c.jpg"]


def test_source_whose_path_begins_like_the_linked_folders(tmp_path: Path) -> None:
    make(tmp_path, "foils_2024/a.jpg", "foils/b.jpg", "f/c.jpg")
    (tmp_path / "foils_2024" / "old").symlink_to("../foils")
    (tmp_path / "foils_2024" / "older").symlink_to(tmp_path / "f")
    assert walked(tmp_path / "foils_2024") == ["a.jpg", "old/b.jpg", "older/c.jpg"]


def test_links_to_linked_folders_that_begin_alike(tmp_path: Path) -> None:
    make(tmp_path, "top/a.jpg", "data/x/b.jpg", "data/xy/c.jpg", "data/xyz/d.jpg")
    (tmp_path / "top" / "x").symlink_to(tmp_path / "data" / "x")
    (tmp_path / "data" / "x" / "xy").symlink_to(tmp_path / "data" / "xy")
    (tmp_path / "data" / "xy" / "xyz").symlink_to(tmp_path / "data" / "xyz")
    assert walked(tmp_path / "top") == ["a.jpg", "x/b.jpg", "x/xy/c.jpg", "x/xy/xyz/d.jpg"]


def test_source_that_is_itself_a_link(tmp_path: Path) -> None:
    make(tmp_path, "data/a.jpg", "data2/b.jpg")
    (tmp_path / "source").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "more").symlink_to(tmp_path / "data2")
    (tmp_path / "data" / "round").symlink_to(tmp_path / "source")
    assert walked(tmp_path / "source") == ["a.jpg", "more/b.jpg"]


@pytest.mark.parametrize("target", [".", "..", "../linked", "/self", "/link"])
def test_links_inside_a_linked_folder_that_go_round(tmp_path: Path, target: str) -> None:
    make(tmp_path, "source/a.jpg", "outer/linked/b.jpg", "outer/sub/c.jpg")
    (tmp_path / "source" / "link").symlink_to(tmp_path / "outer" / "linked")
    whole = {"/self": "self.jpg", "/link": tmp_path / "source" / "link"}.get(target, target)
    (tmp_path / "outer" / "linked" / "self.jpg").symlink_to(whole)
    found = walked(tmp_path / "source")
    assert found == ["a.jpg", "link/b.jpg"] + ["link/self.jpg"] * (target == "/self")
    uris = build(open_archive(str(tmp_path / "source"), Access()).batches)[0]["uri"].to_pylist()
    loaded, _ = load(uris, Access())
    if target == "/self":
        assert loaded.status == ["unreadable", "unreadable", "missing"]
        assert loaded.values["error"][2] == "the link leads to itself"


def test_two_links_round_each_other_end(tmp_path: Path) -> None:
    make(tmp_path, "source/a.jpg", "one/b.jpg", "two/c.jpg")
    (tmp_path / "source" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "one" / "two").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "one").symlink_to(tmp_path / "one")
    (tmp_path / "source" / "ping").symlink_to("pong")
    (tmp_path / "source" / "pong").symlink_to("ping")
    assert walked(tmp_path / "source") == ["a.jpg", "ping", "pong", "one/b.jpg", "one/two/c.jpg"]


def test_each_folder_behind_several_links_is_listed_once(tmp_path: Path) -> None:
    make(tmp_path, "source/real/a.jpg", "data/b.jpg", "data/foils/c.jpg")
    (tmp_path / "source" / "0_inside").symlink_to("real")
    (tmp_path / "source" / "1_foils").symlink_to(tmp_path / "data" / "foils")
    (tmp_path / "source" / "2_data").symlink_to(tmp_path / "data")
    (tmp_path / "source" / "3_again").symlink_to(tmp_path / "data" / "foils")
    assert walked(tmp_path / "source") == ["1_foils/c.jpg", "2_data/b.jpg", "real/a.jpg"]


def test_pipes_and_sockets_with_an_images_name_are_rows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    (tmp_path / "folder.jpg").mkdir()
    loaded, _ = load([(tmp_path / name).as_uri() for name in ("pipe.jpg", "null.jpg", "folder.jpg")], Access())
    assert loaded.status == ["unreadable"] * 3
    assert loaded.values["error"] == ["this is a pipe or a device, not a file"] * 2 + ["this is a folder, not a file"]
