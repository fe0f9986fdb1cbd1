"""What is worth keeping between runs on this machine, in the user's cache folder: written whole, checked when read.

Nothing in it is needed: where the folder cannot be had, or a file in it is not what was written, one goes without.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ELSEWHERE = "CRATER_RAY_CACHE"
"""Environment variable: another folder, or nothing for none at all."""
DIGEST_BYTES = hashlib.sha256().digest_size
MOST_BYTES = 500_000_000
"""Of all files of a kind; the oldest go first."""
LOCK_SECONDS = 60.0


def folder(kind: str) -> Path | None:
    """The folder for one kind of thing; None where there is none, or where it is another user's.

    Args:
        kind: a short name.
    """
    told = os.environ.get(ELSEWHERE)
    if told == "":
        return None
    base = told or Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "crater-ray")
    path = Path(base, kind)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if path.stat().st_uid == os.geteuid() and os.access(path, os.W_OK) else None
    except (OSError, RuntimeError):
        return None


def name_of(key: Mapping[str, Any]) -> str:
    """A file name that no other key has; `key` holds JSON values."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def read(kind: str, key: Mapping[str, Any]) -> bytes | None:
    """What was kept under a key; None unless it is there as it was written.

    Args:
        kind: of thing.
        key: all that it depends on; JSON values.
    """
    place = folder(kind)
    if place is None:
        return None
    path = place / name_of(key)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)
    return data


def write(kind: str, key: Mapping[str, Any], data: bytes) -> None:
    """Keep something under a key, whole or not at all; the least lately read makes room.

    Args:
        kind: of thing.
        key: all that it depends on; JSON values.
        data: what.
    """
    place = folder(kind)
    if place is None:
        return
    scratch = None
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".", delete=False) as file:
            scratch = Path(file.name)
            file.write(hashlib.sha256(data).digest())
            file.write(data)
        scratch.replace(place / name_of(key))
        _make_room(place)
    except OSError:
        if scratch is not None:
            with suppress(OSError):
                scratch.unlink()


def _make_room(place: Path) -> None:
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in place.iterdir())
    left = sum(size for _, size, _ in files)
    for _, size, path in files:
        if left <= MOST_BYTES:
            return
        path.unlink()
        left -= size


@contextmanager
def alone(kind: str, key: Mapping[str, Any]) -> Iterator[None]:
    """Be the only process of this machine that makes a thing; the others wait for it, for a minute at most."""
    place = folder(kind)
    if place is None:
        yield
        return
    import fcntl

    try:
        file = (place / f"{name_of(key)}.lock").open("a")
    except OSError:
        yield
        return
    with file:
        until = time.monotonic() + LOCK_SECONDS
        while time.monotonic() < until:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
            except OSError:  # a file system without locks: then both do the work
                break
        yield
