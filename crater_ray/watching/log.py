"""The log: what a scan does and meets, one JSON object a line, for machines to collect and people to search.

Everything is logged by the driver, through the logger `crater_ray` of Python's own logging: loaders and scorers tell
the driver what became of their work. Nobody hears it unless asked to: `crater-ray scan --log FILE`, or a handler.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import CraterRayError

log = logging.getLogger("crater_ray")
log.addHandler(logging.NullHandler())


def at(shard: int | None = None, key: str | None = None) -> dict[str, Any]:
    """What a message is about, for the `extra` of a logging call."""
    return {"shard": shard, "key": key}


def log_refused(shard: int, rows: pa.Table) -> None:
    """One warning for each image of a finished shard that could not be scored."""
    if not log.isEnabledFor(logging.WARNING):
        return
    refused = rows.select(["key", "status", "error"]).filter(pc.not_equal(rows["status"], "ok"))
    for row in refused.to_pylist():
        log.warning("%s: %s", row["status"], row["error"], extra=at(shard, row["key"]))


class JsonLines(logging.Formatter):
    """A record as one line: time (UTC), level, run, shard, key, message.

    Args:
        run_id: of the run that is being scanned.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run": self._run_id,
            "shard": getattr(record, "shard", None),
            "key": getattr(record, "key", None),
            "message": record.getMessage(),
        }
        return json.dumps(content)  # ASCII: a key's control characters and line breaks stay escapes


class LogFile(logging.FileHandler):
    """A log file that may become full in mid-scan: that is said once, in one line, and the scan goes on."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        problem = sys.exc_info()[1]
        if not isinstance(problem, OSError):
            super().handleError(record)
        elif not self._said:
            self._said = True
            why = problem.strerror or problem
            sys.stderr.write(f"The log {self.baseFilename!r} cannot be written now: {why}. The scan goes on.\n")

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(path: Path | None, run_id: str) -> Iterator[None]:
    """Append what is logged to a file, for as long as the context lasts.

    Args:
        path: the file; /dev/stdout and /dev/stderr work. None logs nowhere.
        run_id: of the run.

    Raises:
        CraterRayError: the file cannot be written.
    """
    if path is None:
        yield
        return
    try:
        handler = LogFile(path, encoding="utf-8")
    except OSError as problem:
        raise CraterRayError(f"The log {str(path)!r} cannot be written: {problem.strerror}. Check --log.") from None
    handler.setFormatter(JsonLines(run_id))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
        handler.close()
