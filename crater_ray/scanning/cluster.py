"""Ray for a scan: a private one on this machine, or the cluster that was asked for; and the devices it offers."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from crater_ray.errors import CraterRayError
from crater_ray.scanning import preflight

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # each is handled where its block is
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
LEFT_OUT = ("start_api_server", "start_monitor", "start_log_monitor")
"""What Ray starts for people who watch a cluster, or for one that grows: a private one that serves a scan has neither.
They are three processes, two fifths of the processor time of its start, and most of the time of its end."""
PRELOADED = ("crater_ray.scanning.loader", "crater_ray.scanning.scorer")
"""What the processes of a private Ray import while the driver still connects."""


@dataclass(frozen=True)
class Device:
    """One place for a scorer.

    Attributes:
        node: id of its machine.
        address: the machine's address, for people.
        gpu: whether it is a GPU (pinned by Ray) or the machine's processor as a whole.
        number: counts the devices of one machine.
        threads: processor threads a scorer without GPU may use.
    """

    node: str
    address: str
    gpu: bool
    number: int
    threads: int


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to Ray, for as long as the context lasts.

    Args:
        address: a cluster's address, or `auto`. None starts a private Ray on this machine, which since Ray 2.60
            answers only processes that hold its token, unless RAY_ADDRESS names a cluster. A Ray to which this
            process is already connected is used as it is.

    Raises:
        CraterRayError: Ray cannot be started or reached.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    expect_ray(address)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        options = {"include_dashboard": False, "_system_config": {"preload_python_modules": list(PRELOADED)}}
    try:
        with _bare() if address == "local" else contextlib.nullcontext():
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options
            )
    except Exception as problem:  # Ray raises many kinds, bare Exception among them
        text = " ".join(str(problem).split())[:300]
        if address == "local":
            raise CraterRayError(f"Ray cannot be started on this machine: {text}") from None
        raise CraterRayError(f"The Ray cluster at {address!r} cannot be reached: {text} {preflight.CURE}") from None
    try:
        yield
    finally:
        ray.shutdown()


def expect_ray(address: str | None) -> None:
    """Make sure, within seconds, that `connected` can succeed; arguments and errors as there."""
    ray = sys.modules.get("ray")  # what was not imported is not connected
    if ray is None or not ray.is_initialized():
        preflight.check(address)


@contextlib.contextmanager
def _bare() -> Iterator[None]:
    """Leave out what a private Ray needs not; a Ray that calls it otherwise starts as it always does."""
    from ray._private.node import Node

    had = {name: getattr(Node, name) for name in LEFT_OUT if hasattr(Node, name)}
    for name in had:
        setattr(Node, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for name, start in had.items():
            setattr(Node, name, start)


class Connection:
    """A connection to Ray that is made, and given up, while something else is done; see `connected`.

    Args:
        address: as there.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._ready, self._leave = threading.Event(), threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._stay, name="ray", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self._thread.join()

    def wait(self) -> None:
        """Wait for the connection.

        Raises:
            CraterRayError: Ray cannot be started or reached.
        """
        self._ready.wait()
        if self._problem:
            raise self._problem

    def leave(self) -> None:
        """Begin to give it up; leaving the context waits until that is done."""
        self._leave.set()

    def _stay(self) -> None:
        # One thread for all of it: Linux ends Ray's processes when the thread that started them ends.
        try:
            with connected(self._address):
                self._ready.set()
                self._leave.wait()
        except BaseException as problem:
            self._problem = problem
        finally:
            self._ready.set()


def devices() -> list[Device]:
    """Every GPU of the cluster, or every machine's processor when there is no GPU at all."""
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    gpus = [
        Device(node["NodeID"], node["NodeManagerAddress"], True, number, 0)
        for node in nodes
        for number in range(int(node["Resources"].get("GPU", 0)))
    ]
    if gpus:
        return gpus
    return [
        Device(node["NodeID"], node["NodeManagerAddress"], False, 0, int(node["Resources"]["CPU"]))
        for node in nodes
        if node["Resources"].get("CPU", 0) >= 1
    ]


def gone() -> set[str]:
    """Ids of the cluster's machines that are no longer alive."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if not node["Alive"]}


def processors() -> int:
    """Processor cores of the cluster."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def has_process(actor: Any) -> bool:
    """Whether Ray has found a place for an actor, which may still be starting there."""
    from ray._private import state

    return bool(state.actors(actor._actor_id.hex()).get("Address", {}).get("Port"))
