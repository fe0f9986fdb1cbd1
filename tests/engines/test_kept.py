"""The cache folder: what was written is read, what was damaged is not, and nobody needs it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from crater_ray.engines import kept

KEY = {"what": "a test", "number": 1}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(kept.ELSEWHERE, str(tmp_path))
    return tmp_path / "things"


def test_what_was_written_is_read_under_its_key_alone(place: Path) -> None:
    assert kept.read("things", KEY) is None
    kept.write("things", KEY, b"content")
    assert kept.read("things", KEY) == b"content"
    assert kept.read("things", KEY | {"number": 2}) is None
    assert [file.name for file in place.iterdir()] == [kept.name_of(KEY)]


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"?", lambda data: b""])
def test_what_was_damaged_is_not_read_and_goes(place: Path, damage: object) -> None:
    kept.write("things", KEY, b"content")
    file = place / kept.name_of(KEY)
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert kept.read("things", KEY) is None
    assert not file.exists()


@pytest.mark.parametrize("told", ["", "/proc/no/such/place"])
def test_without_a_folder_nothing_is_kept_and_nothing_fails(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kept.ELSEWHERE, told)
    kept.write("things", KEY, b"content")
    assert kept.read("things", KEY) is None
    with kept.alone("things", KEY):
        pass


def test_the_least_lately_read_makes_room(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 250)
    for number in range(3):
        kept.write("things", KEY | {"number": number}, bytes(60))
        (place / kept.name_of(KEY | {"number": number})).touch()
    there = [kept.read("things", KEY | {"number": number}) is not None for number in range(3)]
    assert there == [False, True, True]


def test_one_at_a_time(place: Path) -> None:
    inside, most = 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with kept.alone("things", KEY):
            with counting:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.05)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
