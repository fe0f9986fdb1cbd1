"""What run.json says of the commands that work on a run: whose it is, and when, on what and how each scan went."""

from __future__ import annotations

import platform
from collections import Counter
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from crater_ray.errors import UsageError
from crater_ray.runs import run as run_folder
from crater_ray.runs.run import Run
from crater_ray.storage.folder import Folder
from crater_ray.watching.progress import Progress


def continue_or_create(folder: Folder, settings: dict[str, Any], facts: dict[str, Any]) -> Run:
    """The run that a command continues, or a new one.

    Args:
        folder: the command's output.
        settings: what decides which rows the run has; JSON values only.
        facts: what else is worth knowing of a new run; the versions of the software are added.

    Raises:
        UsageError: the output belongs to another run, or to something else altogether.
    """
    run = run_folder.find(folder)
    facts = facts | {"versions": versions()}
    if run is None:
        return run_folder.create(folder, settings, facts)
    different = run_folder.differences(run, settings)
    if different and not run.has_manifest():  # it ended while listing: nothing of it is worth keeping
        return run_folder.create(folder, settings, facts, instead=run)
    if different:
        raise UsageError(
            f"The output {folder.uri} belongs to another run. Different are:\n  "
            + "\n  ".join(different)
            + "\nRepeat the run's own command to go on with it, or give --out a new folder."
        )
    return run


def begin_session(run: Run, shards: int, engine: dict[str, Any]) -> dict[str, Any]:
    """Note that a session begins.

    Args:
        run: whose.
        shards: to do.
        engine: which one computes and why; JSON values.
    """
    session: dict[str, Any] = {"started": run_folder.now(), "ended": None, "shards_to_do": shards}
    session["engine"] = engine
    session["versions"] = versions()
    run.record["sessions"].append(session)
    run.write_record()
    return session


def end_session(run: Run, session: dict[str, Any], progress: Progress, ended: str) -> None:
    """Note how a session went; `ended` is `complete`, `failed` or `interrupted`."""
    session.update(
        ended=run_folder.now(),
        outcome=ended,
        images=progress.published,
        seconds=round(progress.seconds, 3),
        images_per_minute=round(progress.per_minute(), 2),
        retried_blocks=progress.retries,
        devices=dict(Counter(name or "not ready" for name, _ in progress.devices)),
    )
    run.write_record()


def versions() -> dict[str, str]:
    """The versions of what decides results."""
    found = {"python": platform.python_version()}
    for package in ("crater-ray", "ray", "tensorflow", "keras", "numpy", "pyarrow", "pillow", "obstore", "openvino"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
