"""A Ray cluster of several nodes on this machine, in processes of its own; nodes with pretended GPUs come and go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from crater_ray.scanning.cluster import LEFT_OUT

QUICK_HEALTH_CHECK = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "8000",
    "RAY_health_check_failure_threshold": "3",
}
"""Settings under which a dead node is noticed after a few seconds instead of about 16."""
START_ATTEMPTS = 3
KEEP_PROCESSES = {"RAY_idle_worker_killing_time_threshold_ms": "600000"}
"""A node of one processor ends every process but one that is idle for a second: drivers that take turns would have a
new one for nearly every block, which costs more than all that they do."""


class LocalCluster:
    """A running cluster: a head without a GPU, and the nodes that were added.

    Args:
        process: the process that holds it, which does what it is told line by line.

    Attributes:
        address: for `--address`.
        nodes: ids of the nodes that were added and not killed, oldest first.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address: str = self._ask("start")
        self.nodes: list[str] = []

    def add_node(self, num_gpus: int = 1, num_cpus: int = 1, **resources: float) -> str:
        """Let a node join; returns its id once it has.

        Args:
            num_gpus, num_cpus: what it says it has.
            resources: further ones, such as those that `benchmarks.paced.PacedScorer` minds.
        """
        node: str = self._ask("add", num_gpus=num_gpus, num_cpus=num_cpus, resources=resources)
        self.nodes.append(node)
        return node

    def kill_node(self, node: str) -> None:
        """SIGKILL to a node's processes; what runs on it dies with it."""
        self.nodes.remove(node)
        self._ask("kill", node=node)

    def processes(self, title: str) -> list[psutil.Process]:
        """Processes of tasks and actors whose title in Ray begins so: `load`, `Scorer`."""
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.Error):
                command = process.cmdline()
                if command and command[0].startswith(f"ray::{title}"):
                    found.append(process)
        return found

    def _ask(self, what: str, **arguments: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"what": what, **arguments}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)["answer"]
        raise RuntimeError(f"The cluster's process ended while it was asked to {what}.")


@contextmanager
def clustered(settings: dict[str, str] | None = None) -> Iterator[LocalCluster]:
    """Start a cluster that has a head only, and end it and all that runs in it.

    Args:
        settings: further variables of Ray, such as `QUICK_HEALTH_CHECK`.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "testbed.local_cluster"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **KEEP_PROCESSES, **(settings or {}), "RAY_USAGE_STATS_ENABLED": "0"},
            cwd=Path(__file__).parents[1],
            start_new_session=True,
        )
        try:
            yield LocalCluster(process)
        finally:
            children = psutil.Process(process.pid).children(recursive=True)
            for one in children:
                with suppress(psutil.Error):
                    one.kill()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def patiently(start: Callable[[], Any]) -> Any:
    """What `start` gives. On a busy machine Ray gives up on what starts slowly: then that is ended, and tried again."""
    this = psutil.Process()
    for left in reversed(range(START_ATTEMPTS)):
        before = set(this.children(recursive=True))
        try:
            return start()
        except Exception:  # Ray raises many kinds, bare Exception among them
            if not left:
                raise
            for begun in set(this.children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    begun.kill()
    raise AssertionError


def main() -> None:
    """Hold a cluster and do what standard input says: a JSON object a line, answered by one."""
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

    for name in LEFT_OUT:  # as a scan's private Ray: nobody watches this one either
        setattr(Node, name, lambda *_, **__: None)

    def begin() -> Cluster:
        cluster = Cluster()
        cluster.add_node(num_cpus=1, num_gpus=0, include_dashboard=False)
        return cluster

    cluster: Any = None
    nodes: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        what = asked.pop("what")
        answer = None
        if what == "start":
            cluster = patiently(begin)
            answer = cluster.address
        elif what == "add":
            node = patiently(partial(cluster.add_node, **asked))
            nodes[node.node_id] = node
            answer = node.node_id
        elif what == "kill":
            cluster.remove_node(nodes.pop(asked["node"]), allow_graceful=False)
        print(json.dumps({"answer": answer}), flush=True)


if __name__ == "__main__":
    main()
