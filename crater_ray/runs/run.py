"""A run: the folder that holds its settings, its manifest and its parts. State on disk is the whole state.

RUN/
  run.json                 every setting, the bundle, versions, devices, start and end
  manifest.parquet         key, uri, size, etag, shard - frozen at the start
  parts/part-00000.parquet one row per image of the shard
  _SUCCESS                 written only after the check against the manifest passed
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.runs import manifest as manifest_file
from crater_ray.runs import part
from crater_ray.runs.audit import audit_of
from crater_ray.runs.check import Check, check_parts
from crater_ray.runs.manifest import Manifest
from crater_ray.storage.access import Access
from crater_ray.storage.folder import Folder, open_folder

FORMAT = 1
RECORD = "run.json"
MANIFEST = "manifest.parquet"
SUCCESS = "_SUCCESS"


def now() -> str:
    """The time as recorded in a run: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Run:
    """An existing run folder.

    Args:
        folder: where it is.
        record: the content of its run.json.
    """

    def __init__(self, folder: Folder, record: dict[str, Any]) -> None:
        self.folder = folder
        self.record = record
        self._manifest: Manifest | None = None
        self._stack = contextlib.ExitStack()

    @property
    def id(self) -> str:
        return str(self.record["run_id"])

    @property
    def threshold(self) -> float:
        return float(self.record["settings"]["threshold"])

    def close(self) -> None:
        """Give back what was opened (a local copy of a remote manifest)."""
        self._manifest = None
        self._stack.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write_record(self) -> None:
        data = json.dumps(self.record, indent=2, ensure_ascii=False) + "\n"
        self.folder.publish(RECORD, data.encode("utf-8", "backslashreplace"))

    def reload(self) -> None:
        """Read run.json again."""
        again = find(self.folder)
        if again is not None:
            self.record = again.record

    def has_manifest(self) -> bool:
        return any(name == MANIFEST for name, _ in self.folder.names(MANIFEST))

    def freeze(self, table: pa.Table, shard_images: int) -> None:
        """Write the manifest, once and for all."""
        with tempfile.TemporaryDirectory(prefix="crater-ray-") as scratch:
            path = Path(scratch, MANIFEST)
            manifest_file.write(table, path, self.id, shard_images)
            self.folder.publish(MANIFEST, path)

    @property
    def manifest(self) -> Manifest:
        """The frozen manifest.

        Raises:
            CraterRayError: it is not there yet, damaged, or another run's.
        """
        if self._manifest is None:
            try:
                path = self._stack.enter_context(self.folder.local_copy(MANIFEST))
            except FileNotFoundError:
                raise CraterRayError(
                    f"The run at {self.folder.uri} has no manifest yet: its listing failed or was stopped. "
                    "Run its scan command again."
                ) from None
            self._manifest = Manifest(path, self.id)
        return self._manifest

    def published(self) -> set[int]:
        """Shards that have a part, sound or not."""
        found = (part.shard_of(name) for name, _ in self.folder.names("parts/"))
        return {shard for shard in found if shard is not None}

    def read_part(self, shard: int) -> tuple[pa.Table, part.Footer]:
        """The rows of one shard.

        Raises:
            FileNotFoundError: the shard has not been published.
            DamagedPart: its part is not whole or not of this run.
        """
        return part.read(self.folder, self.id, shard)

    def publish(self, shard: int, rows: pa.Table) -> part.Footer:
        """Publish the rows of a shard: from then on, and only then, the shard is done."""
        data, footer = part.encode(rows, self.id, shard)
        self.folder.publish(part.name(shard), data)
        return footer

    def check(self, progress: Callable[[int, int], None] | None = None) -> Check:
        """Read every part and compare it with the manifest; see `crater_ray.runs.check`."""
        return check_parts(self.folder, self.manifest, self.id, self.threshold, audit_of(self.record), progress)

    def finish(self, check: Check) -> None:
        """Declare the run complete; the check must have found it whole."""
        if not check.whole:
            raise CraterRayError(f"The run at {self.folder.uri} is not whole: {len(check.missing)} shards are missing.")
        footers = [check.parts[shard] for shard in range(check.shards)]
        parts = [{"part": part.name(f.shard), "rows": f.rows, "digest": f.digest} for f in footers]
        content = {
            "format": FORMAT,
            "run_id": self.id,
            "images": check.images,
            "statuses": dict(check.statuses),
            "candidates": check.candidates,
            **({"audit": check.audit.record()} if check.audit else {}),
            "finished": now(),
            "parts": parts,
        }
        self.folder.publish(SUCCESS, (json.dumps(content, indent=1) + "\n").encode())

    def success(self) -> dict[str, Any] | None:
        """The content of _SUCCESS; None while the run is not complete."""
        try:
            content: dict[str, Any] = json.loads(self.folder.read(SUCCESS))
            return content
        except (FileNotFoundError, ValueError, RecursionError):
            return None

    def parts(self) -> Iterator[pa.Table]:
        """The rows of every published shard, shard by shard; unpublished shards are passed over.

        Raises:
            DamagedPart: a part is not whole.
        """
        for shard in sorted(self.published()):
            yield self.read_part(shard)[0]


def create(folder: Folder, settings: dict[str, Any], facts: dict[str, Any], instead: Run | None = None) -> Run:
    """Begin a run: its run.json is written before anything else.

    Args:
        folder: where; must not hold a run, nor anything else.
        settings: what decides the results; a command with other settings is refused on this folder.
        facts: what else is worth knowing (versions, bundle card...).
        instead: a run without a manifest, whose run.json this one replaces.

    Raises:
        UsageError: the folder holds something else.
    """
    stray = next((name for name, _ in folder.names() if not (instead and name == RECORD)), None)
    if stray is not None:
        raise UsageError(
            f"The output {folder.uri} is not empty and not a run (it holds {stray!r}). Give --out a new folder."
        )
    record = {
        "format": FORMAT,
        "run_id": uuid.uuid4().hex,
        "created": now(),
        "finished": None,
        "settings": settings,
        **facts,
        "sessions": [],
    }
    run = Run(folder, record)
    run.write_record()
    return run


def open_existing(uri: str | Path, access: Access | None = None) -> Run:
    """Open a run folder.

    Raises:
        UsageError: there is none at this place, or this version cannot read it.
    """
    folder = open_folder(uri, access)
    run = find(folder)
    if run is None:
        raise UsageError(f"There is no run at {folder.uri}: it has no {RECORD}. Check the path and --endpoint-url.")
    return run


def find(folder: Folder) -> Run | None:
    """The run in a folder; None when there is none."""
    try:
        data = folder.read(RECORD)
    except FileNotFoundError:
        return None
    try:
        record = json.loads(data)
        known = record["format"] == FORMAT and isinstance(record["run_id"], str)
        known = known and isinstance(record["settings"], dict) and isinstance(record["sessions"], list)
        record["settings"]["threshold"] = float(record["settings"]["threshold"])
        for session in record["sessions"]:
            datetime.fromisoformat(session["started"])
            float(session.get("images_per_minute") or 0)
            known = known and isinstance(session.get("images_per_minute") or 0.0, int | float)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{folder.uri}/{RECORD} is damaged or not of a run.") from None
    if not known:
        raise UsageError(f"{folder.uri}/{RECORD} is of format {record.get('format')!r}; this version reads {FORMAT}.")
    return Run(folder, record)


def differences(run: Run, settings: dict[str, Any]) -> list[str]:
    """One line for each setting in which a command differs from the run it would continue."""
    old = run.record["settings"]
    return [
        f"{name}: the run has {old.get(name)!r}, the command {settings.get(name)!r}"
        for name in sorted(set(old) | set(settings))
        if old.get(name) != settings.get(name)
    ]
