"""What a scan notes in run.json: whose run it is, and for each session when, on what and how it went."""

from __future__ import annotations

import platform
from collections import Counter
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.runs import run as run_folder
from crater_ray.runs.run import Run
from crater_ray.settings import ScanSettings, identity
from crater_ray.storage.folder import open_folder
from crater_ray.watching.progress import Progress


def open_run_folder(settings: ScanSettings, bundle: Bundle, engine: str, further: dict[str, Any]) -> Run:
    """The run that this command continues, or a new one.

    Args:
        settings, bundle, engine: of the scan.
        further: what else decides which rows the run has; JSON values only.

    Raises:
        UsageError: the output belongs to another run, or to something else altogether.
    """
    wanted = identity(settings, bundle, engine) | further
    folder = open_folder(settings.out, settings.access)
    run = run_folder.find(folder)
    card = bundle.card()
    card["figures"] = {name: value for name, value in card["figures"].items() if name != "evaluation"}  # it is long
    facts: dict[str, Any] = {"bundle_card": card, "versions": versions()}
    if settings.screen and bundle.screen:
        facts["screen_promise"] = bundle.screen.promise
    if run is None:
        return run_folder.create(folder, wanted, facts)
    different = run_folder.differences(run, wanted)
    if different and not run.has_manifest():  # it ended while listing: nothing of it is worth keeping
        return run_folder.create(folder, wanted, facts, instead=run)
    if different:
        raise UsageError(
            f"The output {folder.uri} belongs to another run. Different are:\n  "
            + "\n  ".join(different)
            + "\nRepeat the run's own command to go on with it, or give --out a new folder."
        )
    return run


def begin_session(run: Run, shards: int) -> dict[str, Any]:
    """Note that a session begins, with so many shards to do."""
    session: dict[str, Any] = {"started": run_folder.now(), "ended": None, "shards_to_do": shards}
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
