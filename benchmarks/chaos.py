"""A scan on a small cluster to which all goes wrong, again and again: what is lost, doubled, and done twice over."""

from __future__ import annotations

import json as json_text
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import psutil
import typer

from benchmarks import image_set, options, paced
from benchmarks.paced import hold, release
from benchmarks.record import Record
from crater_ray.errors import UsageError
from testbed.faulty_s3 import FaultyS3, faulty
from testbed.local_cluster import LocalCluster, clustered
from testbed.local_s3 import LocalS3, serving

NODES = 3
FAULTS = ("500", "503", "reset", "cut", "short")
KINDS = {"scorer": 0.39, "loader": 0.37, "node": 0.11, "driver": 0.11, "server": 0.02}
"""Shares of the kills."""
BUSY = 0.55
"""Share of the time for which scorers that were never disturbed would need to score; the rest is for kills."""
FIRST, LAST = 0.02, 0.9
"""Between these shares of the parts, kills happen."""
AHEAD = 24
"""Parts before the end from which on loaders may be done: none of them is killed there."""
SILENT_SECONDS = 600
"""No part for so long: the scan hangs."""
REPORT_SECONDS = 15
MAX_FAILURES = 10
"""So many drivers that end by themselves, unwell, with no part between them."""

MEANING = (
    "Scan of many small images through a proxy that spoils a share of all GETs, on a local cluster of 3 nodes with a "
    "scorer each that takes a fixed time per image. Kills are SIGKILL, at seeded shares of the parts: a scorer's "
    "process, a loader's, all of a node's (another joins a few seconds later), the driver (the same command again), "
    "the S3 server's (it starts again with its data; the scan waits, or is started again). "
    "Redone: images scored, counted by the scorers one by one, beyond those of the manifest; and whole GETs beyond one "
    "per image."
)


@dataclass
class Chaos:
    """A scan that is disturbed until it is complete.

    Args:
        cluster: where it runs.
        server: what it reads from.
        command: the scan's command line.
        out: the run's folder.
        log: where the scan's words go.
        shards: of the run.
        kills: how many.
        rng: decides when and what.
        counts: where the scorers count; see `benchmarks.paced`.
        say: told how far it is.

    Attributes:
        killed: by kind; those of an earlier part of the run are not done again.
        exits: of drivers that ended by themselves: the code of each.
    """

    cluster: LocalCluster
    server: LocalS3
    command: list[str]
    out: Path
    log: Path
    shards: int
    kills: int
    rng: random.Random
    counts: Path
    say: Callable[[int, Counter[str]], None] = lambda parts, killed: None
    killed: Counter[str] = field(default_factory=Counter)
    exits: list[int] = field(default_factory=list)

    def run(self) -> None:
        """Start the scan, disturb it, start it again, until it ends well.

        Going on with a run that was stopped, what was killed by then is not killed again.

        Raises:
            RuntimeError: it hangs, or keeps failing.
        """
        due: list[tuple[float, str]] = []
        done = Counter(self.killed)
        for moment, kind in self._plan():
            done[kind] -= 1
            if done[kind] < 0:
                due.append((moment, kind))
        release(self.counts)
        joins: list[float] = []
        driver = self._start()
        moved, parts, said, failures = time.monotonic(), 0, time.monotonic(), 0
        try:
            while True:
                now = time.monotonic()
                if self._parts() != parts:
                    moved, parts, failures = now, self._parts(), 0
                elif now - moved > SILENT_SECONDS:
                    raise RuntimeError(f"no part within {SILENT_SECONDS} s. The scan said last:\n{self._words()}")
                if driver.poll() is not None:
                    self.exits.append(driver.returncode)
                    if driver.returncode == 0:
                        return
                    failures += 1
                    if failures > MAX_FAILURES:
                        raise RuntimeError(f"the scan failed {failures} times:\n{self._words()}")
                    driver = self._start()
                if joins and joins[0] <= now:
                    joins.pop(0)
                    self.cluster.add_node()
                gone = self._kill_next(due, parts, driver)
                if gone:
                    self.killed[gone] += 1
                    self.say(parts, self.killed)
                    if gone == "driver":
                        driver = self._start()
                    elif gone == "node":
                        joins.append(now + self.rng.uniform(1, 8))
                if now - said > REPORT_SECONDS:
                    said = now
                    self.say(parts, self.killed)
                time.sleep(self.rng.uniform(0.02, 0.2))
        finally:
            driver.kill()
            driver.wait()

    def _plan(self) -> list[tuple[float, str]]:
        """After how many parts what is killed: every kind at least once, if there are kills enough."""
        others = self.rng.choices(list(KINDS), list(KINDS.values()), k=max(0, self.kills - len(KINDS)))
        kinds = [*list(KINDS)[: self.kills], *others]
        ends = [min(LAST, max(0.3, 1 - AHEAD / self.shards)) if kind == "loader" else LAST for kind in kinds]
        return sorted((self.rng.uniform(FIRST, end) * self.shards, kind) for kind, end in zip(kinds, ends, strict=True))

    def _kill_next(self, due: list[tuple[float, str]], parts: int, driver: subprocess.Popen[bytes]) -> str | None:
        """Kill what is due first, or next where there is none of it right now; scorers wait for what is overdue."""
        late = [kill for kill in due if kill[0] <= parts]
        for kill in late:
            if self._kill(kill[1], driver):
                due.remove(kill)
                release(self.counts)
                return kill[1]
        if any(kind != "loader" for _, kind in late):
            hold(self.counts, 0)
        return None

    def _kill(self, kind: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill one of a kind; False when there is none right now."""
        if kind == "driver":
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            return True
        if kind == "server":
            self.server.crash()
            return True
        if kind == "node":
            if len(self.cluster.nodes) < NODES:  # the one that died last has not been replaced yet
                return False
            self.cluster.kill_node(self.rng.choice(self.cluster.nodes))
            return True
        victims: list[psutil.Process] = self.cluster.processes("Paced" if kind == "scorer" else "load")
        if not victims:
            return False
        try:
            self.rng.choice(victims).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(self.command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)

    def _parts(self) -> int:
        return len(list((self.out / "parts").glob("part-*.parquet")))

    def _words(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


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
            disturbed = Chaos(at, server, command, out, log, shards, kills, random.Random(seed), counts)
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
    chaos: Chaos
    proxy: FaultyS3
    path: Path
    started: float = field(default_factory=time.monotonic)
    first: int | None = None

    def now(self) -> _Before:
        """What the run has come to."""
        return _Before(
            self.before.settings,
            dict(self.chaos.killed),
            self.chaos.exits,
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
        done, shards = parts - self.first, self.chaos.shards
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
