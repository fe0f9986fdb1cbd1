"""A scan on a small cluster to which all goes wrong, again and again: what is lost, doubled, and done twice over."""

from __future__ import annotations

import json as json_text
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from benchmarks import image_set, options, paced
from benchmarks.disturbed import KINDS, NODES, Disturbed
from benchmarks.record import Record
from crater_ray.errors import UsageError
from testbed.faulty_s3 import FaultyS3, faulty
from testbed.local_cluster import clustered
from testbed.local_s3 import serving

FAULTS = ("500", "503", "reset", "cut", "short")
BUSY = 0.55
"""Share of the time for which scorers that were never disturbed would need to score; the rest is for kills."""

MEANING = (
    "Scan of many small images through a proxy that spoils a share of all GETs, on a local cluster of 3 nodes with a "
    "scorer each that takes a fixed time per image. Kills are SIGKILL, at seeded shares of the parts: a scorer's "
    "process, a loader's, all of a node's (another joins a few seconds later), the driver (the same command again), "
    "the S3 server's (it starts again with its data; the scan waits, or is started again). "
    "Redone: images scored, counted by the scorers one by one, beyond those of the manifest; and whole GETs beyond one "
    "per image."
)


def chaos(
    minutes: Annotated[float, typer.Option("--minutes", metavar="M", min=0.1, help="How long, about.")] = 20.0,
    images: Annotated[int, typer.Option("--images", metavar="N", min=64, help="Images of the run.")] = 24_000,
    kills: Annotated[int, typer.Option("--kills", metavar="N", min=0, help="How many.")] = 105,
    faults: Annotated[float, typer.Option("--faults", metavar="SHARE", min=0, max=0.5, help="Of all GETs.")] = 0.05,
    shard_images: Annotated[int, typer.Option("--shard-images", metavar="N", min=1, help="Images per part.")] = 48,
    redone: Annotated[
        float, typer.Option("--redone", metavar="SHARE", min=0, help="Fail if more images are scored again.")
    ] = 0.1,
    distinct: options.Distinct = 40,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides what is killed when.")] = 0,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="DIR", help="Keep all there: stopped, the same command goes on, days later too."
        ),
    ] = None,
    json: options.Json = None,
) -> None:
    """Kill nodes, scorers, loaders, drivers and the storage of a scan, and count what was lost or done twice."""
    device_ms = round(1000 * BUSY * 60 * minutes * NODES / images, 3)
    made = image_set.make(min(distinct, images), (96, 96))
    settings = {
        "minutes": minutes,
        "kills": kills,
        "faults": faults,
        "shard_images": shard_images,
        "distinct": min(distinct, images),
        "seed": seed,
        "nodes": NODES,
        "device_ms": device_ms,
    }
    record = Record("chaos", dict(settings), made.describe(images))
    shards = -(-images // shard_images)
    settings["images"] = images
    before = _Before.read(state / "state.json", settings) if state else _Before(settings)
    with _folder(state) as work, serving() as server:
        source = image_set.upload(made, images, server, "chaos")
        out, counts, log = work / "run", work / "counts", work / "log"
        counts.mkdir(exist_ok=True)
        shares = dict.fromkeys(FAULTS, faults / len(FAULTS))
        with faulty(server.endpoint_url, shares, seed, before.port) as proxy, clustered() as at:
            for _ in range(NODES):
                at.add_node()
            arguments = ["scan", source, "--anonymous", "--endpoint-url", proxy.endpoint_url, "--engine", "stand-in"]
            arguments += ["--out", str(out), "--shard-images", str(shard_images), "--address", at.address]
            command = paced.command(device_ms, counts, *arguments)
            disturbed = Disturbed(at, server, command, out, log, shards, kills, random.Random(seed), counts)
            disturbed.killed, disturbed.exits = Counter(before.killed), before.exits
            progress = _Progress(before, disturbed, proxy, work / "state.json")
            disturbed.say = progress
            progress.keep()
            disturbed.run()
            after = progress.now()
        verify = [sys.executable, "-m", "crater_ray.cli", "verify", str(out)]
        verified = subprocess.run(verify, capture_output=True, text=True, check=False)
        figures: dict[str, Any] = {
            "meaning": MEANING,
            "seconds": round(after.seconds, 1),
            "kills": disturbed.killed.total(),
        }
        figures |= {f"{kind}s_killed": disturbed.killed[kind] for kind in KINDS}
        figures |= {"driver_exits": disturbed.exits, "faults": after.faults, "verify_exit": verified.returncode}
        figures |= _counts(out, images, sum(paced.scored_images(counts).values()), after.gets)
    record.figures = figures
    record.write(json)
    rows = [(name.replace("_", " "), _words(value)) for name, value in figures.items() if name != "meaning"]
    record.show(f"{images:,} images in {shards:,} shards", ("what", "count"), rows, MEANING)
    whole = (verified.returncode, figures["lost"], figures["doubled"], figures["not_ok"]) == (0, 0, 0, 0)
    if not whole or figures["kills"] < kills or figures["redone_share"] >= redone:
        raise typer.Exit(1)


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    """The folder that keeps all, or one that is gone afterwards."""
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
        yield state
        return
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="chaos-") as work:
        yield Path(work)


@dataclass
class _Before:
    """What a run had come to when it was stopped; as `state.json` has it."""

    settings: dict[str, Any]
    killed: dict[str, int] = field(default_factory=dict)
    exits: list[int] = field(default_factory=list)
    seconds: float = 0.0
    gets: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    port: int = 0
    """Of the proxy: a run goes on only with the endpoint at which it began."""

    @staticmethod
    def read(path: Path, settings: dict[str, Any]) -> _Before:
        if not path.exists():
            return _Before(settings)
        stored = _Before(**json_text.loads(path.read_text(encoding="utf-8")))
        if stored.settings != settings:
            raise UsageError(
                f"--state {str(path.parent)!r} holds a run of other settings: {stored.settings}, asked for are "
                f"{settings}. Repeat the same command, or choose another folder."
            )
        return stored


@dataclass
class _Progress:
    """Says how far the run is, and keeps it in `state.json`."""

    before: _Before
    scan: Disturbed
    proxy: FaultyS3
    path: Path
    started: float = field(default_factory=time.monotonic)
    first: int | None = None

    def now(self) -> _Before:
        """What the run has come to."""
        return _Before(
            self.before.settings,
            dict(self.scan.killed),
            self.scan.exits,
            self.before.seconds + time.monotonic() - self.started,
            self.before.gets + self.proxy.gets,
            dict(Counter(self.before.faults) + self.proxy.done),
            urlsplit(self.proxy.endpoint_url).port or 0,
        )

    def keep(self) -> None:
        """Write it down."""
        partial = self.path.with_suffix(".tmp")
        partial.write_text(json_text.dumps(asdict(self.now())), encoding="utf-8")
        partial.replace(self.path)

    def __call__(self, parts: int, killed: Counter[str]) -> None:
        self.keep()
        self.first = parts if self.first is None else self.first
        done, shards = parts - self.first, self.scan.shards
        left = (time.monotonic() - self.started) / 60 * (shards - parts) / done if done else None
        print(
            f"{parts:,} of {shards:,} parts, {killed.total()} kills, {sum(self.proxy.done.values()):,} faults, "
            + (f"about {left:.0f} minutes left" if left is not None else "starting"),
            flush=True,
        )


def _counts(out: Path, images: int, scored: int, gets: int) -> dict[str, Any]:
    """What became of every image, from the parts themselves."""
    import pyarrow.parquet as pq

    keys: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for path in (out / "parts").glob("part-*.parquet"):
        rows = pq.read_table(path, columns=["key", "status"])
        keys.update(rows["key"].to_pylist())
        statuses.update(rows["status"].to_pylist())
    return {
        "lost": images - len(keys),
        "doubled": sum(count > 1 for count in keys.values()),
        "not_ok": statuses.total() - statuses["ok"],
        "scored": scored,
        "redone_share": round(scored / images - 1, 4),
        "whole_gets": gets,
        "gets_again_share": round(gets / images - 1, 4),
    }


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value)
