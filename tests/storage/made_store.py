"""A made-up third store, as the recipe "add a store" makes one: objects in one SQLite file, `sqlite:///file.db/name`."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from crater_ray.errors import UsageError
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.errors import TooLarge
from crater_ray.storage.registry import STORES


class SqliteStore(Store):
    """Objects in the table of a SQLite file."""

    scheme: ClassVar[str] = "sqlite"
    example: ClassVar[str] = "sqlite:///file.db/folder"

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        file, prefix = _split(folder)
        prefix = f"{prefix}/" if prefix else ""
        question = "SELECT name, data FROM objects WHERE substr(name, 1, ?) = ? ORDER BY name"
        with closing(_open(file)) as database:
            rows = database.execute(question, (len(prefix + start), prefix + start)).fetchall()
        if not rows:
            raise FileNotFoundError(f"There is nothing in {folder}.")
        yield [
            Listed(name[len(prefix) :], f"sqlite://{file}/{name}", len(data), hashlib.md5(data).hexdigest())
            for name, data in rows
        ]

    def get_within(self, address: str, longest: int) -> bytes:
        file, name = _split(address)
        with closing(_open(file)) as database:
            row = database.execute("SELECT data FROM objects WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise FileNotFoundError("there is no such row")
        if len(row[0]) > longest:
            raise TooLarge(len(row[0]))
        return bytes(row[0])

    def put(self, address: str, data: bytes | Path) -> None:
        file, name = _split(address)
        content = data.read_bytes() if isinstance(data, Path) else data
        with closing(_open(file)) as database, database:
            database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?)", (name, content))

    def remove(self, address: str) -> None:
        file, name = _split(address)
        with closing(_open(file)) as database, database:
            database.execute("DELETE FROM objects WHERE name = ?", (name,))


def _split(address: str) -> tuple[str, str]:
    file, separator, name = address.removeprefix("sqlite://").partition(".db")
    if not separator:
        raise UsageError(f"An address must look like {SqliteStore.example}; received: {address!r}")
    return f"{file}.db", name.lstrip("/")


def _open(file: str) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=60)
    database.execute("CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, data BLOB)")
    return database


def register() -> None:
    """Its line in the registry, for this process."""
    STORES[SqliteStore.scheme] = SqliteStore
