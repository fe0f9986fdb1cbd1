"""A place for a run: a local folder or a bucket's prefix, in which each object is published whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from crater_ray.errors import UsageError
from crater_ray.storage.s3 import (
    Access,
    code_of,
    credentials_refused,
    explain,
    forget_credentials,
    is_s3,
    s3_client,
    split_s3,
    writing_access,
)

Answer = TypeVar("Answer")


class Folder(Protocol):
    """A place that holds named objects, each published whole or not at all."""

    uri: str

    def read(self, name: str) -> bytes:
        """The object's bytes; raises FileNotFoundError when there is none."""
        ...

    def publish(self, name: str, data: bytes | Path) -> None:
        """Write an object (bytes, or the content of a local file) so that a reader sees all of it or none."""
        ...

    def remove(self, name: str) -> None:
        """Take an object away; none being there is fine."""
        ...

    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(name, size in bytes) of every object whose name starts with `prefix`, in no particular order."""
        ...

    def local_copy(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """The object as a local file for random access, for as long as the context lasts."""
        ...


def open_folder(uri: str | Path, access: Access | None = None) -> Folder:
    """A local folder, or `s3://bucket/prefix`."""
    uri = str(uri)
    if is_s3(uri):
        return S3Folder(uri, access or Access())
    if "://" in uri and not uri.startswith("file://"):
        raise UsageError(f"A folder must be a local path or s3://bucket/prefix; received: {uri!r}")
    return LocalFolder(Path(uri.removeprefix("file://")))


class LocalFolder:
    """A folder of the local file system: temporary file, fsync, rename, fsync of the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.uri = str(self.path)

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(name) from None
        except OSError as problem:
            raise explain(problem, f"{self.uri}/{name}") from None

    def publish(self, name: str, data: bytes | Path) -> None:
        target = self.path / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data.read_bytes() if isinstance(data, Path) else data)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, 0o644)
                os.replace(temporary, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            _fsync_folder(target.parent)
        except OSError as problem:
            raise explain(problem, self.uri) from None

    def remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as problem:
            raise explain(problem, self.uri) from None

    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        start, _, _ = prefix.rpartition("/")
        for parent, folders, files in os.walk(self.path / start):
            folders.sort()
            for file in sorted(files):
                path = Path(parent, file)
                name = path.relative_to(self.path).as_posix()
                if name.startswith(prefix) and not file.startswith(".partial-"):
                    with contextlib.suppress(FileNotFoundError):
                        yield name, path.stat().st_size

    @contextlib.contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        if not (self.path / name).is_file():
            raise FileNotFoundError(name)
        yield self.path / name


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class S3Folder:
    """A prefix in a bucket: one PUT makes an object; nothing is ever renamed."""

    def __init__(self, uri: str, access: Access) -> None:
        self.uri = uri.rstrip("/")
        self.bucket, prefix = split_s3(self.uri)
        self.prefix = f"{prefix}/" if prefix else ""
        self._access = writing_access(access)

    def read(self, name: str) -> bytes:
        def get(client: Any) -> bytes:
            data: bytes = client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
            return data

        try:
            return self._ask(get)
        except Exception as problem:
            if code_of(problem) in ("NoSuchKey", "404"):
                raise FileNotFoundError(name) from None
            raise explain(problem, self.uri) from None

    def publish(self, name: str, data: bytes | Path) -> None:
        def put(client: Any) -> None:
            with contextlib.ExitStack() as stack:
                body = stack.enter_context(data.open("rb")) if isinstance(data, Path) else data
                client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=body)

        try:
            self._ask(put)
        except Exception as problem:
            raise explain(problem, self.uri) from None

    def remove(self, name: str) -> None:
        try:
            self._ask(lambda client: client.delete_object(Bucket=self.bucket, Key=self.prefix + name))
        except Exception as problem:
            raise explain(problem, self.uri) from None

    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        try:
            pages = s3_client(self._access).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self.prefix), entry["Size"]
        except Exception as problem:
            raise explain(problem, self.uri) from None

    def _ask(self, request: Callable[[Any], Answer]) -> Answer:
        """Send a request; once more with credentials read anew if those in use are refused."""
        try:
            return request(s3_client(self._access))
        except Exception as problem:
            if not credentials_refused(code_of(problem)):
                raise
        forget_credentials(self.bucket, self._access)
        return request(s3_client(self._access))

    @contextlib.contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="crater-ray-") as folder:
            path = Path(folder, "object")
            path.write_bytes(self.read(name))
            yield path
