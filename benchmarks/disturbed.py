"""A scan that is disturbed: what is killed when, and started again, until all is scored."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.paced import hold, release
from testbed.local_cluster import LocalCluster
from testbed.local_s3 import LocalS3

NODES = 3
KINDS = {"scorer": 0.39, "loader": 0.37, "node": 0.11, "driver": 0.11, "server": 0.02}
"""Shares of the kills."""
FIRST, LAST = 0.02, 0.9
"""Between these shares of the parts, kills happen."""
AHEAD = 24
"""Parts before the end from which on loaders may be done: none of them is killed there."""
SILENT_SECONDS = 600
"""No part for so long: the scan hangs."""
REPORT_SECONDS = 15
MAX_FAILURES = 10
"""So many drivers that end by themselves, unwell, with no part between them."""


@dataclass
class Disturbed:
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
