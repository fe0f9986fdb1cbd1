"""A folder in any store: named objects below one address, each published whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from crater_ray.errors import UsageError
from crater_ray.storage.access import Access
from crater_ray.storage.base import PARTIAL, Store
from crater_ray.storage.registry import examples, store_at

_PARTIAL_NAME = re.compile(re.escape(PARTIAL) + "[a-z0-9_]{8}")


class Folder:
    """A place that holds named objects, each published whole or not at all.

    Args:
        store: where it is.
        uri: its absolute address there.

    Its methods raise a `CraterRayError` that says in one line what is wrong where storage fails.
    """

    def __init__(self, store: Store, uri: str) -> None:
        self.store = store
        self.uri = uri

    def _address(self, name: str) -> str:
        return f"{self.uri.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """The object's bytes; raises FileNotFoundError when there is none."""
        try:
            return self.store.get(self._address(name))
        except FileNotFoundError:
            raise FileNotFoundError(name) from None
        except Exception as problem:
            raise self.store.explain(problem, self._address(name)) from None

    def publish(self, name: str, data: bytes | Path) -> None:
        """Write an object (bytes, or the content of a local file) so that a reader sees all of it or none."""
        try:
            self.store.put(self._address(name), data)
        except Exception as problem:
            raise self.store.explain(problem, self.uri) from None

    def remove(self, name: str) -> None:
        """Take an object away; none being there is fine."""
        try:
            self.store.remove(self._address(name))
        except Exception as problem:
            raise self.store.explain(problem, self.uri) from None

    def names(self, prefix: str = "") -> Iterator[tuple[str, int | None]]:
        """(name, size in bytes) of every object whose name starts with `prefix`, in no particular order."""
        try:
            for page in self.store.objects(self.uri, prefix):
                for found in page:
                    if not _PARTIAL_NAME.fullmatch(found.name.rpartition("/")[2]):
                        yield found.name, found.size
        except FileNotFoundError:
            return
        except Exception as problem:
            raise self.store.explain(problem, self.uri) from None

    def local_copy(self, name: str) -> AbstractContextManager[Path]:
        """The object as a local file for random access, for as long as the context lasts.

        Raises:
            FileNotFoundError: on entering, when there is none.
        """
        return self.store.local_copy(self._address(name))


def open_folder(uri: str | Path, access: Access | None = None) -> Folder:
    """A local folder, or one of any other store, such as `s3://bucket/prefix`; it need not exist yet.

    Raises:
        UsageError: it is no address of a folder.
    """
    store = store_at(str(uri), access).with_credentials()
    if not store.folders:
        raise UsageError(f"A run lies in {examples(folders=True)}; received: {str(uri)!r}")
    return Folder(store, store.absolute(str(uri)))
