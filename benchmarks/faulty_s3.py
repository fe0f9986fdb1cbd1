"""A proxy in front of an S3 server that answers some requests as bad storage does."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>'
SLOW_DOWN = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'


@dataclass
class FaultyS3:
    """A running proxy.

    Attributes:
        endpoint_url: its address.
        share: probability of each fault for a GET of an object: `500`, `503`, `reset`, `cut` (the body ends before its
            announced length), `short` (a shorter body that announces itself as whole), `stall`, `403`.
        done: how often each fault was committed.
        requests: how many requests came.
    """

    endpoint_url: str
    share: dict[str, float]
    done: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    stall_seconds: float = 5.0


@contextmanager
def faulty(behind: str, share: dict[str, float], seed: int = 0) -> Iterator[FaultyS3]:
    """Put a proxy in front of the server at `behind`."""
    target = urlsplit(behind)
    rng = random.Random(seed)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            with lock:
                proxy.requests += 1
                fault = None
                if "list-type" not in self.path:
                    names = list(proxy.share)
                    weights = [proxy.share[name] for name in names]
                    fault = rng.choices([*names, None], [*weights, max(0.0, 1 - sum(weights))])[0]
                if fault:
                    proxy.done[fault] += 1
            if fault in ("500", "503", "403"):
                body = DENIED if fault == "403" else SLOW_DOWN
                self.answer(int(fault), body, len(body))
                return
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            if fault == "stall":
                time.sleep(proxy.stall_seconds)
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            connection.request("GET", self.path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            connection.close()
            if fault == "short":
                body = body[: len(body) // 2]
            self.answer(response.status, body[: len(body) // 2] if fault == "cut" else body, len(body), response)
            if fault == "cut":
                self.close_connection = True

        def answer(
            self, status: int, body: bytes, length: int, response: http.client.HTTPResponse | None = None
        ) -> None:
            self.send_response(status)
            for name in ("ETag", "Last-Modified", "Content-Type") if response else ():
                if response and response.getheader(name):
                    self.send_header(name, str(response.getheader(name)))
            self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = FaultyS3(f"http://127.0.0.1:{server.server_address[1]}", share)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
