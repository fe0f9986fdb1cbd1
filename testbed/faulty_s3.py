"""A proxy in front of an S3 server that answers some requests as bad storage does."""

from __future__ import annotations

import http.client
import math
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>{}</Message></Error>'
ERRORS = {
    "unpaid": (403, "AccessDenied", "Access Denied."),
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "403": (403, "AccessDenied", "Access Denied."),
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Reduce your request rate."),
}


@dataclass
class FaultyS3:
    """A running proxy.

    Attributes:
        endpoint_url: its address.
        share: probability of each fault for a GET of an object: `500`, `503`, `reset`, `cut` (the body ends before its
            announced length), `short` (a shorter body that announces itself as whole), `stall` (no answer for
            `stall_seconds`), `hang` (the same in the middle of the body), `403`, `archived` (in cold storage).
        only: GET faults befall only objects whose name contains this.
        put_share: the same for a PUT: `500`, `503`, `reset`, `stall` (nothing is stored), and `500 after`, `reset
            after`, `404 after`: the object is stored, but the answer says otherwise.
        put_only: PUT faults befall only objects whose name contains this.
        list_share: the same for listings: `500`, `503`, `reset`, `stall`.
        times: faults befall each request so often at most; repeated any more, it is answered.
        done: how often each fault was committed.
        requests: how many requests came.
        expired: requests signed with one of these access keys are refused ...
        expired_status: ... with this status (S3 says 400, other stores 401 or 403), as ExpiredToken ...
        expire_after: ... once so many GETs of objects have been answered; None: never.
        payer: requests that do not say that their sender pays are refused.
        region: requests signed for another region are refused, as stores with regions of their own do.
        puts: names of the objects that were stored, in order.
    """

    endpoint_url: str
    share: dict[str, float]
    only: str = ""
    put_share: dict[str, float] = field(default_factory=dict)
    put_only: str = ""
    list_share: dict[str, float] = field(default_factory=dict)
    times: float = math.inf
    done: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    gets: int = 0
    stall_seconds: float = 5.0
    expired: set[str] = field(default_factory=set)
    expired_status: int = 400
    expire_after: int | None = None
    payer: bool = False
    region: str | None = None
    puts: list[str] = field(default_factory=list)

    def refuses(self, authorization: str) -> bool:
        """Whether the credentials of a request count as expired by now."""
        if self.expire_after is None or self.gets < self.expire_after:
            return False
        return any(f"Credential={key}/" in authorization for key in self.expired)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients that are killed in mid-request are not news
            super().handle_error(request, client_address)


@contextmanager
def faulty(behind: str, share: dict[str, float], seed: int = 0, port: int = 0) -> Iterator[FaultyS3]:
    """Put a proxy in front of the server at `behind`, at a port of loopback; 0 for any that is free."""
    target = urlsplit(behind)
    rng = random.Random(seed)
    lock = threading.Lock()
    befallen: Counter[tuple[str, str]] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            listing = "list-type" in self.path
            share = proxy.share if proxy.only in self.path else {}
            fault = self.choose(proxy.list_share if listing else share, counts=not listing)
            if self.committed(fault):
                return
            response, body = self.forward(b"")
            if fault == "short":
                body = body[: len(body) // 2]
            broken_off = fault in ("cut", "hang")
            self.answer(response.status, body[: len(body) // 2] if broken_off else body, len(body), response)
            if fault == "hang":
                time.sleep(proxy.stall_seconds)
            if broken_off:
                self.close_connection = True

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = self.choose(proxy.put_share if proxy.put_only in self.path else {})
            if self.committed(fault):
                return
            response, body = self.forward(content)
            if response.status == 200:
                with lock:
                    proxy.puts.append(urlsplit(self.path).path)
            if not self.committed(fault.removesuffix(" after") if fault else None):
                self.answer(response.status, body, len(body), response)

        def do_HEAD(self) -> None:
            self.choose({})
            if not self.committed(None):
                response, _ = self.forward(b"")
                self.answer(response.status, b"", int(response.getheader("Content-Length") or 0), response)

        def do_POST(self) -> None:
            self.do_PUT()

        def do_DELETE(self) -> None:
            self.choose({})
            if not self.committed(None):
                response, body = self.forward(b"")
                self.answer(response.status, body, len(body), response)

        def choose(self, share: dict[str, float], counts: bool = False) -> str | None:
            with lock:
                proxy.requests += 1
                share = share if befallen[self.command, self.path] < proxy.times else {}
                weights = list(share.values())
                fault = rng.choices([*share, None], [*weights, max(0.0, 1 - sum(weights))])[0]
                authorization = self.headers.get("Authorization", "")
                if proxy.payer and self.headers.get("x-amz-request-payer") != "requester":
                    fault = "unpaid"
                elif proxy.region and authorization and f"/{proxy.region}/s3/" not in authorization:
                    fault = "elsewhere"
                if proxy.refuses(self.headers.get("Authorization", "")):
                    fault = "expired"
                if fault:
                    proxy.done[fault] += 1
                    befallen[self.command, self.path] += 1
                elif counts:
                    proxy.gets += 1
                return fault

        def committed(self, fault: str | None) -> bool:
            """Whether the fault has answered the request."""
            if fault == "expired":
                body = ERROR.format("ExpiredToken", "The provided token has expired.").encode()
                self.answer(proxy.expired_status, body, len(body))
            elif fault == "404":
                body = ERROR.format("NoSuchKey", "The specified key does not exist.").encode()
                self.answer(404, body, len(body))
            elif fault == "elsewhere":
                code, text = "AuthorizationHeaderMalformed", f"the region is wrong; expecting '{proxy.region}'"
                body = ERROR.format(code, text).replace("</Error>", f"<Region>{proxy.region}</Region></Error>").encode()
                self.answer(400, body, len(body))
            elif fault in ERRORS:
                status, code, text = ERRORS[fault]
                body = ERROR.format(code, text).encode()
                self.answer(status, body, len(body))
            elif fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif fault == "stall":
                time.sleep(proxy.stall_seconds)
                self.close_connection = True
            else:
                return False
            return True

        def forward(self, content: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # Host too: it is part of what is signed
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(content)
            response = connection.getresponse()
            body = response.read()
            connection.close()
            return response, body

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
                if self.command != "HEAD":
                    self.wfile.write(body)

    server = _Server(("127.0.0.1", port), Handler)
    proxy = FaultyS3(f"http://127.0.0.1:{server.server_address[1]}", share)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
