"""Object storage that obstore alone reaches: one PUT makes an object, nothing is renamed, no message holds a secret."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.storage.access import Access
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.bulk import Buffer
from crater_ray.storage.errors import Archived, ObjectError, StorageError, TooLarge, is_archived, one_line

RETRIES = 5
GET_SECONDS = 60.0
"""For one GET of an image, body included."""
WHOLE_SECONDS = 900.0
"""For one object of a run: a manifest of millions of images, over a slow line."""
PAGE = 1_000
_NOT_THERE = "the object is not there (any more)"
_NO_CONTAINER = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist", "container does not exist")
_REFUSED = re.compile(r"status code: 40[13]\b")
_SECRETS = re.compile(
    r"((?:sig|signature|x-amz-[a-z-]+|x-goog-[a-z-]+|token|key|authorization)[=:]\s*)[^&\s\"')]+", re.IGNORECASE
)


class CloudStore(Store):
    """Objects of containers (buckets), `scheme://container/some/name`.

    Attributes:
        container_word: what the service calls a container.
        variables: where its credentials come from, for messages.
    """

    container_word: ClassVar[str]
    variables: ClassVar[str]

    @abstractmethod
    def connect(self, container: str, options: dict[str, Any]) -> Any:
        """An obstore store for a container.

        Args:
            container: its name.
            options: `client_options` and `retry_config` for obstore.

        Raises:
            UsageError: how to reach it is not said.
            BaseError, ValueError: obstore cannot use what it was given.
        """

    @abstractmethod
    def has_credentials(self) -> bool:
        """Whether this process was given credentials for the service."""

    def absolute(self, address: str) -> str:
        self.split(address)
        return address.rstrip("/")

    def split(self, address: str) -> tuple[str, str]:
        """`gs://bucket/some/name` to (`bucket`, `some/name`)."""
        container, _, name = address.removeprefix(f"{self.scheme}://").partition("/")
        if not container:
            raise UsageError(f"An address of {self.scheme}:// must look like {self.example}; received: {address!r}")
        return container, name

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        """A thousand at a time, as the service lists them."""
        import obstore

        container, folder_name = self.split(folder)
        prefix = f"{folder_name.rstrip('/')}/" if folder_name.rstrip("/") else ""
        root, skip, found = f"{self.scheme}://{container}/", len(prefix), False
        whole = (prefix + start).rpartition("/")[0]  # obstore's prefixes are whole segments
        for page in obstore.list(_client(type(self), container, self.access, False), whole or None, chunk_size=PAGE):
            here = [item for item in page if item["path"].startswith(prefix + start)]
            found = found or bool(here)
            yield [
                Listed(item["path"][skip:], root + item["path"], item["size"], (item["e_tag"] or "").strip('"') or None)
                for item in here
            ]
        if not found:
            raise FileNotFoundError(f"There is nothing under {root}{prefix}{start}.")

    def get_within(self, address: str, longest: int) -> Buffer:
        return self._get(address, longest, whole=False)

    def get(self, address: str) -> bytes:
        return bytes(self._get(address, None, whole=True))

    def _get(self, address: str, longest: int | None, whole: bool) -> Buffer:
        import obstore
        from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

        container, name = self.split(address)
        try:
            reply = obstore.get(_client(type(self), container, self.access, whole), name)
            size = reply.meta["size"]
            if longest is not None and size > longest:
                raise TooLarge(size)
            return memoryview(reply.bytes())
        except FileNotFoundError:
            raise FileNotFoundError(_NOT_THERE) from None
        except (InvalidPathError, ValueError):
            raise ObjectError("a name with empty or dotted parts cannot be asked for") from None
        except (BaseError, OSError) as problem:
            if is_archived(str(problem)):
                raise Archived from None
            if isinstance(problem, PermissionDeniedError | UnauthenticatedError):
                _client.cache_clear()  # a file of credentials may be replaced meanwhile
            raise StorageError(str(self.explain(problem, address))) from None

    def put(self, address: str, data: bytes | Path) -> None:
        import obstore

        container, name = self.split(address)
        client = _client(type(self), container, self.access, True)
        try:
            obstore.put(client, name, data, use_multipart=False)
        except FileNotFoundError as problem:  # of the container
            raise self.explain(problem, address) from None

    def remove(self, address: str) -> None:
        import obstore

        container, name = self.split(address)
        with suppress(FileNotFoundError):
            obstore.delete(_client(type(self), container, self.access, True), name)

    def with_credentials(self) -> Self:
        if self.access.anonymous and self.has_credentials():
            return type(self)(replace(self.access, anonymous=False))
        return self

    def explain(self, problem: Exception, where: str) -> CraterRayError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        if isinstance(problem, CraterRayError):
            return problem
        text = _short(str(problem))
        if any(sign in text for sign in _NO_CONTAINER):
            return UsageError(f"There is no {self.container_word} at {where}. Check the name, and {self.variables}.")
        if is_archived(text):
            return StorageError(f"{where} is archived in cold storage. Restore it, then run the same again.")
        if "performing token request" in text:
            return StorageError(
                f"There are no credentials for {where}. If it is public, add --anonymous; otherwise set "
                f"{self.variables}. It said: {text}"
            )
        if "UserProjectMissing" in text:
            return StorageError(f"Those who ask {where} pay for it: add --requester-pays.")
        if isinstance(problem, PermissionDeniedError | UnauthenticatedError) or _REFUSED.search(text):
            return StorageError(
                f"Access to {where} was refused. If it is public, add --anonymous; otherwise check the credentials: "
                f"{self.variables}. It said: {text}"
            )
        if "empty path segment" in text or "Could not parse path" in text:
            return UsageError(
                f"{where} holds a name with empty or dotted parts, which cannot be listed ({text}). Rename it, or "
                "give a key list of the others."
            )
        if "error sending request" in text or "operation timed out" in text:
            return StorageError(f"{where} cannot be reached ({text}). Check --endpoint-url and the network.")
        return StorageError(f"Storage at {where} failed: {text}")


def _short(said: str) -> str:
    """What obstore says, in one line without secrets; of an answer in XML its code alone."""
    text, code = said.partition("\n\nDebug source")[0], re.search(r"<Code>(\w+)</Code>", said)
    if code:
        text = f"{re.split('<[?]xml|<Error', text)[0]}{code[1]}"
    return _SECRETS.sub(r"\1...", one_line(Exception(text)))


@cache
def _client(store: type[CloudStore], container: str, access: Access, whole: bool) -> Any:
    """An obstore store, made once a process.

    Args:
        store: whose.
        container: what it is of.
        access: how to reach it.
        whole: for objects of a run, that may be long, instead of images.
    """
    from obstore.exceptions import BaseError

    seconds = WHOLE_SECONDS if whole else GET_SECONDS
    options = {
        "client_options": {
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(seconds=seconds),
            "pool_max_idle_per_host": "64",
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=90 + seconds * whole),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
        },
    }
    kind = store(access)
    try:
        return kind.connect(container, options)
    except (BaseError, ValueError) as problem:
        what = type(problem).__name__  # what it says may hold the key
        raise UsageError(
            f"The credentials or settings for {kind.scheme}:// cannot be used ({kind.variables}): {what}"
        ) from None


def forget_clients() -> None:
    """Make clients anew from now on, with what the environment says now."""
    _client.cache_clear()
