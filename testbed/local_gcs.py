"""Google Cloud Storage on loopback, for tests: gcp-storage-emulator's buckets, spoken to as obstore does.

The emulator speaks Google's JSON API. obstore speaks the older XML API, which is put in front of the emulator's storage
here: listing in pages, GET, PUT and DELETE of objects, a bearer token for all but the public bucket, and buckets whose
requesters pay.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

TOKEN = "ya29.only-on-loopback"
ENVIRONMENT = {"GOOGLE_BEARER_TOKEN": TOKEN}
"""Variables that give a process the service's credentials."""
PUBLIC = "public"
PAYING = "paying"
"""A bucket that answers only those who name the project that pays."""
PROJECT = "project-that-pays"
PAGE = 7
"""So many objects a page of a listing: a test's archive takes several."""


@dataclass
class LocalGcs:
    """A running service.

    Attributes:
        endpoint_url: its address.
        storage: the emulator's storage.
        requests: how many came, by method.
        paid: how many named a project that pays.
    """

    endpoint_url: str
    storage: Any
    requests: Counter[str] = field(default_factory=Counter)
    paid: int = 0

    def create(self, name: str) -> None:
        self.storage.create_bucket(name, {"name": name, "id": name})

    def put(self, bucket: str, name: str, data: bytes) -> None:
        now = datetime.now(UTC).isoformat()
        digest = hashlib.md5(data).hexdigest()
        about = {"name": name, "bucket": bucket, "size": str(len(data)), "etag": digest, "updated": now}
        self.storage.create_file(bucket, name, data, about | {"timeCreated": now, "generation": "1"})


@contextmanager
def serving() -> Iterator[LocalGcs]:
    """Start a service that keeps its objects in memory, and stop it at the end."""
    from gcp_storage_emulator.exceptions import NotFound
    from gcp_storage_emulator.storage import Storage

    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.answered(self.read)

        def do_PUT(self) -> None:
            self.answered(self.write)

        def do_DELETE(self) -> None:
            self.answered(self.delete)

        def answered(self, work: Any) -> None:
            """Do it, unless the request is refused; say what is not there as Google does."""
            asked = urlsplit(self.path)
            bucket, _, name = unquote(asked.path).lstrip("/").partition("/")
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            payer = self.headers.get("x-goog-user-project")
            with lock:
                service.requests[self.command] += 1
                service.paid += payer is not None
                if bucket != PUBLIC and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self.refuse(403 if "Authorization" in self.headers else 401, "AccessDenied", "Access denied.")
                elif bucket == PAYING and payer != PROJECT:
                    self.refuse(
                        400, "UserProjectMissing", "Bucket is a requester pays bucket but no user project provided."
                    )
                elif service.storage.get_bucket(bucket) is None:
                    self.refuse(404, "NoSuchBucket", "The specified bucket does not exist.")
                else:
                    try:
                        work(bucket, name, parse_qs(asked.query), data)
                    except NotFound:
                        self.refuse(404, "NoSuchKey", "The specified key does not exist.")

        def read(self, bucket: str, name: str, query: dict[str, list[str]], _: bytes) -> None:
            if not name:
                self.reply(200, self.listed(bucket, query))
                return
            data = service.storage.get_file(bucket, name)
            self.reply(200, data, self.about(service.storage.get_file_obj(bucket, name)))

        def write(self, bucket: str, name: str, _: dict[str, list[str]], data: bytes) -> None:
            service.put(bucket, name, data)
            self.reply(200, b"", self.about(service.storage.get_file_obj(bucket, name)))

        def delete(self, bucket: str, name: str, *_: object) -> None:
            service.storage.get_file_obj(bucket, name)
            service.storage.delete_file(bucket, name)
            self.reply(204, b"")

        def about(self, found: dict[str, Any]) -> dict[str, str]:
            moment = datetime.fromisoformat(found["updated"])
            stamps = {"ETag": f'"{found["etag"]}"', "Last-Modified": format_datetime(moment, usegmt=True)}
            return stamps | {"x-goog-generation": found["generation"]}

        def listed(self, bucket: str, query: dict[str, list[str]]) -> bytes:
            prefix, after = (query.get(name, [""])[0] for name in ("prefix", "continuation-token"))
            names = sorted(one["name"] for one in service.storage.get_file_list(bucket, prefix)[0])
            later = [name for name in names if name > after]
            found = [service.storage.get_file_obj(bucket, name) for name in later[:PAGE]]
            rows = "".join(
                f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}</LastModified>"
                f"<ETag>&quot;{one['etag']}&quot;</ETag><Size>{one['size']}</Size></Contents>"
                for one in found
            )
            token = f"<NextContinuationToken>{escape(later[PAGE - 1])}</NextContinuationToken>" if later[PAGE:] else ""
            return f"<ListBucketResult>{token}{rows}</ListBucketResult>".encode()

        def refuse(self, status: int, code: str, text: str) -> None:
            self.reply(
                status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
            )

        def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    service = LocalGcs(f"http://127.0.0.1:{server.server_address[1]}", Storage(use_memory_fs=True))
    for bucket in (PUBLIC, PAYING):
        service.create(bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
