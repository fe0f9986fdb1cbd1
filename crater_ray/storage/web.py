"""The web as a store: files under `http://` and `https://` addresses, read one by one as key lists name them.

obstore's client for the web wants every answer's length beforehand, and cannot ask for an address with a query or with
an escaped slash; servers of images give the one and need the other. urllib3 takes any address as it is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlsplit

from crater_ray.errors import UsageError
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.bulk import CONCURRENT_GETS, Buffer
from crater_ray.storage.errors import ObjectError, StorageError, TooLarge, one_line

RETRIES = 3
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
"""Between two words of an answer, and for a whole one of up to 60 MiB; longer ones at 1 MiB a second."""
CHUNK = 1024 * 1024
_KEPT = "/%?&=+,:;@!$'()*~[]-._"
_SECRET = re.compile(
    r"(x-amz-(signature|credential|security-token)|x-goog-(signature|credential)|sig|signature|awsaccesskeyid"
    r"|(access_?|auth_?|id_?|refresh_?|sas_?)?token|api_?key|secret|password|passwd|pwd)",
    re.IGNORECASE,
)


class HttpStore(Store):
    """Files of web servers that anybody may read."""

    scheme: ClassVar[str] = "http"
    example: ClassVar[str] = "http://host/file"
    folders: ClassVar[bool] = False

    def absolute(self, address: str) -> str:
        parts = urlsplit(address)
        if not parts.hostname:
            raise UsageError(f"An address of the web must look like {self.example}; received: {address!r}")
        if parts.username or parts.password:
            raise UsageError(
                f"An address must not hold credentials: it is recorded with the run. Received one for {parts.hostname}."
            )
        secret = next((name for name, _ in parse_qsl(parts.query) if _SECRET.fullmatch(name)), None)
        if secret is not None:
            raise UsageError(
                f"An address must not hold a signature or a token: it is recorded with the run. Received {secret!r} in "
                f"one for {parts.hostname}. Read signed storage by its own address (s3://, gs://, az://)."
            )
        return quote(address, safe=_KEPT).rstrip("/")

    def below(self, folder: str, name: str) -> str:
        return f"{folder.rstrip('/')}/{quote(name)}"

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        raise UsageError(
            f"A web server does not list its files: give a key list ({self.example.replace('file', 'list.txt')}, or a "
            f"local one with whole addresses). Received: {folder!r}"
        )

    def get_within(self, address: str, longest: int) -> Buffer:
        from urllib3.exceptions import HTTPError

        stop = time.monotonic() + max(READ_SECONDS, longest / CHUNK)
        try:
            reply = _pool(_proxy(address)).request("GET", address, preload_content=False, decode_content=True)
            try:
                return _body(reply, address, longest, stop)
            finally:
                reply.close()
                reply.release_conn()
        except HTTPError as problem:
            raise StorageError(f"{address} cannot be read: {one_line(problem)}") from None


class HttpsStore(HttpStore):
    """The same, encrypted on the way."""

    scheme: ClassVar[str] = "https"
    example: ClassVar[str] = "https://host/file"


def _body(reply: Any, address: str, longest: int, stop: float) -> bytes:
    if reply.status in (404, 410):
        raise FileNotFoundError("the file is not there (any more)")
    if reply.status in (401, 403, 407):
        raise StorageError(f"{address} is refused ({reply.status}): only what anybody may read is read from the web.")
    if reply.status >= 500 or reply.status in (408, 425, 429):
        raise StorageError(f"{address}: the server answers {reply.status} {reply.reason}")
    if reply.status != 200:
        raise ObjectError(f"the server answers {reply.status} {reply.reason}")
    length = reply.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > longest and not reply.headers.get("Content-Encoding"):
        raise TooLarge(int(length))
    data = bytearray()
    while chunk := reply.read(CHUNK):
        data += chunk
        if len(data) > longest:
            raise TooLarge(len(data))
        if time.monotonic() > stop:
            raise StorageError(f"{address} comes too slowly: {len(data):,} bytes so far")
    return bytes(data)


@cache
def _pool(proxy: str | None) -> Any:
    """The connections of this process."""
    import urllib3

    options: dict[str, Any] = {
        "maxsize": CONCURRENT_GETS,
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        "retries": urllib3.Retry(
            total=RETRIES,
            redirect=10,
            backoff_factor=0.2,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
            respect_retry_after_header=False,
        ),
        "headers": {"User-Agent": "crater-ray", "Accept-Encoding": "identity"},
    }
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy(address: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(address)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
