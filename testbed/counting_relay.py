"""A relay in front of a server that passes every byte on and notes what is asked."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass
class CountingRelay:
    """A running relay.

    Attributes:
        endpoint_url: its address.
        requests: method and path of each request, such as `GET /bucket/key`, names decoded, in order of arrival.
    """

    endpoint_url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def counting(behind: str) -> Iterator[CountingRelay]:
    """Put a relay in front of the server at `behind`."""
    server = urlsplit(behind)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    relay = CountingRelay(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            there = socket.create_connection((server.hostname, server.port))
            threading.Thread(target=pass_on, args=(client, there, True), daemon=True).start()
            threading.Thread(target=pass_on, args=(there, client, False), daemon=True).start()

    def pass_on(source: socket.socket, target: socket.socket, note: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if note:
                    found = re.findall(rb"^((?:GET|HEAD|PUT) \S+) HTTP/1.1\r$", data, re.MULTILINE)
                    relay.requests += [unquote(line.decode()) for line in found]
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield relay
    finally:
        listener.close()
