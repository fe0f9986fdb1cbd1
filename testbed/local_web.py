"""A plain web server on loopback, for tests: the files of a folder, and answers as servers of the world give them."""

from __future__ import annotations

import gzip
import http.server
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class LocalWeb:
    """A running server.

    Attributes:
        url: its address.
        answers: what it does instead of giving the file, by path: a status; `moved` (a redirect to the same path under
            /real), `chunked` (no length beforehand), `gzip`, `cut` (the body ends early), `drip` (a byte a second).
        times: an answer that is a status is given so often; then the file.
        requests: how often each path was asked for.
    """

    url: str
    answers: dict[str, int | str] = field(default_factory=dict)
    times: int = 1_000_000
    requests: Counter[str] = field(default_factory=Counter)


@contextmanager
def serving(folder: Path) -> Iterator[LocalWeb]:
    """Serve a folder; `/image?name=x` gives the file x, as programs on servers do; `/real/x` gives x."""
    lock = threading.Lock()

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            with lock:
                web.requests[asked.path] += 1
                count = web.requests[asked.path]
            answer = web.answers.get(asked.path)
            if asked.path == "/image":
                self.path = "/" + parse_qs(asked.query)["name"][0]
            elif asked.path.startswith("/real/"):
                self.path = self.path.removeprefix("/real")
            if isinstance(answer, int) and count <= web.times:
                self.send_error(answer)
            elif answer == "moved":
                self.send_response(302)
                self.send_header("Location", f"/real{asked.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif isinstance(answer, str):
                self.odd(answer)
            else:
                super().do_GET()

        def odd(self, answer: str) -> None:
            data = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            if answer == "gzip":
                data = gzip.compress(data)
                self.send_header("Content-Encoding", "gzip")
            self.send_header(
                *(("Transfer-Encoding", "chunked") if answer == "chunked" else ("Content-Length", str(len(data))))
            )
            self.end_headers()
            if answer == "chunked":
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
            elif answer == "drip":
                for at in range(len(data)):
                    self.wfile.write(data[at : at + 1])
                    self.wfile.flush()
                    time.sleep(1)
            else:
                self.wfile.write(data[: len(data) // 2] if answer == "cut" else data)
            self.close_connection = answer == "cut"

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            pass  # clients that give up are not news

    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    web = LocalWeb(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
