"""A server as a process of its own, which ends with the process that started it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

START_SECONDS = 300
"""After so long a server that has not come up never will."""
_ENDS_WITH_US = 'exec 3<&0; "$@" 3<&- & server=$!; { read -r _ <&3; kill -KILL $server; } & exec 3<&-; wait $server'
"""Runs a program until it ends or standard input does, which it does with the process that holds its other end."""


@contextmanager
def running(command: Sequence[str], folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and kill it at the end.

    Args:
        command: what to start.
        folder: where it works; what it says comes into `log` there.
        environment: variables that it gets besides ours.
    """
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["sh", "-c", _ENDS_WITH_US, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            env=os.environ | environment,
        )
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
