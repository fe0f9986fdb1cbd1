"""A fresh process for each timed part, so that libraries' state, threads and memory never mix."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from crater_ray.errors import CraterRayError, UsageError


def run(function: str, packages: Path | None = None, /, **arguments: Any) -> Any:
    """Call a function in a fresh process and return what it returns.

    Args:
        function: `module:name`.
        packages: folder of packages that go before the installed ones in that process.
        arguments: JSON values.

    Raises:
        UsageError: it said what is wrong.
        RuntimeError: it failed; the message ends with what it wrote last.
    """
    return watched(function, lambda _: None, packages, **arguments)


def watched(function: str, watch: Callable[[int], None], packages: Path | None = None, /, **arguments: Any) -> Any:
    """Like `run`, and meanwhile call `watch` with the process's id; it should return once that process has ended."""
    with tempfile.TemporaryDirectory(prefix="crater-ray-child-") as scratch:
        given, answer, log = Path(scratch, "arguments.json"), Path(scratch, "answer.json"), Path(scratch, "log")
        given.write_text(json.dumps(arguments), encoding="utf-8")  # a command line has no room for thousands of files
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        if packages is not None:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "benchmarks.child", function, str(given), str(answer)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            try:
                watch(process.pid)
                code = process.wait()
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not answer.exists():  # once it has answered, how a library ends its threads is of no matter
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RuntimeError(f"{function} ended with {code}. It wrote last: {tail}")
        said = json.loads(answer.read_text(encoding="utf-8"))
        if "problem" in said:
            raise UsageError(said["problem"])
        return said["result"]


def main() -> None:
    """Run in the fresh process: call what the arguments name, write its answer."""
    name, given, answer = sys.argv[1:4]
    arguments = json.loads(Path(given).read_text(encoding="utf-8"))
    module, _, attribute = name.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    try:
        said = {"result": function(**arguments)}
    except CraterRayError as problem:
        said = {"problem": str(problem)}
    whole = Path(f"{answer}.partial")
    whole.write_text(json.dumps(said), encoding="utf-8")
    whole.rename(answer)


if __name__ == "__main__":
    main()
