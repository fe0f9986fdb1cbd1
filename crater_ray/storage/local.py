"""The local file system as a store: folders walked once, files published by temporary file, fsync and rename."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from crater_ray.errors import UsageError
from crater_ray.storage.base import PARTIAL, Listed, Store
from crater_ray.storage.bulk import Answer
from crater_ray.storage.errors import ObjectError, StorageError, TooLarge
from crater_ray.storage.walk import walk

PAGE = 10_000
"""So many files are listed at a time."""


class LocalStore(Store):
    """Files. Their addresses are paths, or `file://` URIs in which odd bytes are escaped."""

    scheme: ClassVar[str] = "file"
    example: ClassVar[str] = "a local path"
    local: ClassVar[bool] = True

    def absolute(self, address: str) -> str:
        path = os.fsdecode(local_path(address)) if address.startswith("file://") else address
        return os.path.abspath(os.path.expanduser(path))

    def uri(self, address: str) -> str:
        return "file://" + quote_from_bytes(os.fsencode(address))

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        """Every file once, in the order of its path; links are followed, see `crater_ray.storage.walk`."""
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"{folder!r} {'is a file' if os.path.exists(folder) else 'does not exist'}.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UsageError(f"The folder {folder!r} may not be read. Check its permissions.")
        page: list[Listed] = []
        top = os.fsencode(folder)
        for path in walk(top, os.fsencode(start)):
            page.append(_listed(path, os.path.join(top, path)))
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page

    def get_within(self, address: str, longest: int) -> bytes:
        path = local_path(address)
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise ObjectError("this is a pipe or a device, not a file")
                if facts.st_size > longest:
                    raise TooLarge(facts.st_size)
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError("the file is not there (any more)") from None
        except IsADirectoryError:
            raise ObjectError("this is a folder, not a file") from None
        except PermissionError as problem:
            raise ObjectError(f"the file may not be read ({problem.strerror})") from None
        except ValueError as problem:  # a zero byte within a name
            raise ObjectError(f"the file's name cannot be used: {problem}") from None
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise FileNotFoundError("the link leads to itself") from None
            if problem.errno in (errno.ENAMETOOLONG, errno.ENXIO):  # ENXIO: a socket
                raise ObjectError(f"the file cannot be opened ({problem.strerror})") from None
            raise StorageError(f"{os.fsdecode(path)}: {problem.strerror or problem}") from None

    def get_many(
        self, addresses: Sequence[str], sizes: Sequence[int | None], longest: int, last_try: bool = False
    ) -> Generator[Answer, None, None]:
        """As they are asked for: threads do not make a disk quicker, and what a file system gives is not cut off."""
        for address in addresses:
            try:
                answer: Answer = self.get_within(address, longest)
            except (ObjectError, StorageError, FileNotFoundError, MemoryError) as problem:
                answer = problem.with_traceback(None)
            yield answer

    def get(self, address: str) -> bytes:
        try:
            return _path(address).read_bytes()
        except NotADirectoryError:
            raise FileNotFoundError(address) from None

    def put(self, address: str, data: bytes | Path) -> None:
        target = _path(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=PARTIAL)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data.read_bytes() if isinstance(data, Path) else data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _fsync_folder(target.parent)

    def remove(self, address: str) -> None:
        _path(address).unlink(missing_ok=True)

    @contextmanager
    def local_copy(self, address: str) -> Iterator[Path]:
        path = _path(address)
        if not path.is_file():
            raise FileNotFoundError(address)
        yield path


def local_path(address: str) -> bytes:
    """The file system's path of an address: of a `file://` URI what it names, of anything else itself."""
    if address.startswith("file://"):
        return unquote_to_bytes(address[len("file://") :])
    return os.fsencode(address)


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file, but does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _path(address: str) -> Path:
    return Path(os.fsdecode(local_path(address)))


def visible(path: bytes) -> str:
    """A path as text. File names are bytes; those that are not UTF-8 keep their odd bytes as visible escapes."""
    return path.decode("utf-8", "backslashreplace")


def _listed(path: bytes, whole: bytes) -> Listed:
    name, uri = visible(path), "file://" + quote_from_bytes(whole)
    try:
        facts = os.stat(whole)
    except OSError:  # it vanished, or is a dangling link: reading it will say so
        return Listed(name, uri, None, None)
    return Listed(name, uri, facts.st_size, f"{facts.st_mtime_ns:x}-{facts.st_size:x}")


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
