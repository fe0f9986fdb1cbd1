"""What a store is: objects under addresses of one scheme, listed, read, and published whole."""

from __future__ import annotations

import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.storage import errors
from crater_ray.storage.access import Access
from crater_ray.storage.bulk import Answer, Buffer, get_in_order

PARTIAL = ".partial-"
"""How the name of a file begins that is being written on the local file system, and is not there yet for readers."""


class Listed(NamedTuple):
    """An object that was found.

    Attributes:
        name: relative to the folder that was listed, with slashes.
        uri: its whole address, as a URI.
        size: in bytes; None where the store does not say.
        etag: changes whenever the object does; None where the store does not say.
    """

    name: str
    uri: str
    size: int | None
    etag: str | None


class Store(ABC):
    """Objects under addresses of one scheme. A store keeps no connection itself: make one wherever it is needed.

    A further store is one file with a subclass of this, and one line in `crater_ray.storage.registry`. It must say how
    one object is read (`get_within`); a store that can be listed or written to adds `objects`, `put` and `remove`.
    Methods raise what their client raises; `explain` turns that into a line for people. An object that is not there is
    always a `FileNotFoundError`.

    Args:
        access: how to reach it.

    Attributes:
        scheme: what its addresses begin with, without `://`.
        example: what an address of a folder in it looks like, for messages.
        local: whether its folders are folders of this machine's file system.
        folders: whether it lists what lies below an address; else only key lists can name its objects.
    """

    scheme: ClassVar[str]
    example: ClassVar[str]
    local: ClassVar[bool] = False
    folders: ClassVar[bool] = True

    def __init__(self, access: Access) -> None:
        self.access = access

    def absolute(self, address: str) -> str:
        """The one whole spelling of an address, without a slash at its end.

        Raises:
            UsageError: no object can have such an address.
        """
        return address.rstrip("/")

    def uri(self, address: str) -> str:
        """An absolute address as a URI, in which every name can be written."""
        return address

    def below(self, folder: str, name: str) -> str:
        """The address of what has this name, with slashes, in a folder."""
        return f"{folder.rstrip('/')}/{name}"

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        """Every object below a folder whose name begins with `start`; some at a time, as storage gives them.

        Args:
            folder: an absolute address.
            start: what names, relative to the folder, must begin with.

        Raises:
            FileNotFoundError: there is no such folder. Its text says so in a sentence.
        """
        raise UsageError(f"Addresses of {self.scheme}:// cannot be listed; give a key list. Received: {folder!r}")

    @abstractmethod
    def get_within(self, address: str, longest: int) -> Buffer:
        """An object's bytes, by the quickest way; called by many threads at once.

        Args:
            address: absolute, or a URI.
            longest: in bytes; a longer object is not read.

        Raises:
            FileNotFoundError: it is not there. Its text says so in a few words.
            TooLarge: it is longer.
            ObjectError: its bytes cannot be had, and storage is not at fault.
            StorageError: storage failed; asking again may help.
        """

    def get_many(
        self, addresses: Sequence[str], sizes: Sequence[int | None], longest: int, last_try: bool = False
    ) -> Generator[Answer, None, None]:
        """Many objects' bytes in order, fetched ahead while the caller works on earlier ones.

        Args:
            addresses: absolute, or URIs.
            sizes: in bytes, as listed, or None. An object of another length is fetched again before it is believed: a
                cut-off download must not pass for a damaged image.
            longest: in bytes; longer objects are not read.
            last_try: believe another length than listed, if it stays: the object was replaced since.

        Returns:
            For each address its bytes, or what `get_within` raises.
        """
        return get_in_order(self.get_within, addresses, sizes, longest, last_try)

    def get(self, address: str) -> bytes:
        """One object's bytes; by the way that takes every name and gives every problem its own."""
        return bytes(self.get_within(address, sys.maxsize))

    def put(self, address: str, data: bytes | Path) -> None:
        """Write an object (bytes, or the content of a local file) so that a reader sees all of it or none."""
        raise UsageError(f"Nothing can be written to {self.scheme}:// addresses; received: {address!r}")

    def remove(self, address: str) -> None:
        """Take an object away; none being there is fine."""
        raise UsageError(f"Nothing can be written to {self.scheme}:// addresses; received: {address!r}")

    def local_copy(self, address: str) -> AbstractContextManager[Path]:
        """An object as a local file for random access, for as long as the context lasts."""
        return self._downloaded(address)

    @contextmanager
    def _downloaded(self, address: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="crater-ray-") as folder:
            path = Path(folder, "object")
            path.write_bytes(self.get(address))
            yield path

    def with_credentials(self) -> Self:
        """This store, signed where there are credentials, even if `access` says to read without: for writing."""
        return self

    def explain(self, problem: Exception, where: str) -> CraterRayError:
        """Say in one line what a problem means and what to do about it; `where` is the folder or object concerned."""
        return errors.explain(problem, where)
