"""The lease of a run: one scan at a time works on it; a second one started by mistake sees that and says so.

The holder counts up in `lease.json` every few seconds. Whoever comes later watches the count, not the clock: clocks of
two machines may differ, but a count that does not move means that its holder is gone. Even if two scans do slip
through, they publish the same rows under the same names; the lease only saves their double work.
Of two that begin in the same moment, the one whose lease is there a little later goes on.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from crater_ray.errors import CraterRayError
from crater_ray.storage.folder import Folder

NAME = "lease.json"
BEAT_SECONDS = 10.0
WATCH_SECONDS = 35.0
SETTLE_SECONDS = 0.3
"""So long after it was written, a lease is read again: another scan may have written its own in the same moment."""


class Lease:
    """Holds a run's lease for as long as the context lasts.

    Args:
        folder: the run's folder.
        say: told when the lease of another scan has to be watched for a while.

    Raises:
        CraterRayError: on entering, when another scan is alive and at work on the run.
    """

    def __init__(self, folder: Folder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._content: dict[str, Any] = {
            "holder": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "count": 0,
        }
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._wait_for_others()
        self._write()
        time.sleep(SETTLE_SECONDS)
        other = self._other()
        if other is not None and not self._is_dead(other):
            raise self._at_work(other)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._beating.join()
        try:
            if self._other() is None:
                self._folder.remove(NAME)
        except CraterRayError:
            pass  # a lease that stays behind stops counting, which is what others look at

    @property
    def count(self) -> int:
        """How often it has been renewed."""
        return int(self._content["count"])

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._content["count"] += 1
            try:
                if self._other() is None:  # a scan that took this one for dead holds the lease now; it may keep it
                    self._write()
            except CraterRayError:
                pass  # storage that fails is noticed where it matters: when a part cannot be published

    def _write(self) -> None:
        self._folder.publish(NAME, json.dumps(self._content).encode())

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(self._folder.read(NAME))
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def _other(self) -> dict[str, Any] | None:
        """What another scan's lease says, if that is the one that is there."""
        content = self._read()
        return None if content is None or content.get("holder") == self._content["holder"] else content

    def _at_work(self, content: dict[str, Any]) -> CraterRayError:
        return CraterRayError(
            f"Another scan is at work on {self._folder.uri}: process {content.get('pid')} on {content.get('host')}. "
            "Let it finish, or stop it and run this command again."
        )

    def _wait_for_others(self) -> None:
        first = self._read()
        if first is None or self._is_dead(first):
            return
        who = f"process {first.get('pid')} on {first.get('host')}"
        self._say(f"The run is held by {who}; watching for {WATCH_SECONDS:g} s whether it is alive ...")
        stop = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < stop:
            time.sleep(1.0)
            now = self._read()
            if now is None or self._is_dead(now):
                return
            if now != first:
                raise self._at_work(now)

    def _is_dead(self, content: dict[str, Any]) -> bool:
        """A holder on this machine can be looked for; one elsewhere has to be watched."""
        if content.get("host") != self._content["host"] or not isinstance(content.get("pid"), int):
            return False
        if content["pid"] == os.getpid() or content["pid"] < 1:
            return True
        try:
            os.kill(content["pid"], 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            return False
        return False
