"""Prefetching: the next batches are prepared in a thread while the present one is trained on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

DEPTH = 3
"""Batches that wait at most: enough to bridge one that takes long."""


def prefetch(source: Iterable[T], depth: int = DEPTH) -> Iterator[T]:
    """Give what `source` gives, in its order, produced in a thread of its own.

    The thread ends when the source does, or when the caller stops taking and closes or drops the iterator.

    Args:
        source: is iterated over in the thread only.
        depth: how many items are kept ready.

    Raises:
        Exception: what the source raised, after the items before it.
    """
    ready: queue.Queue[tuple[list[T], BaseException | None]] = queue.Queue()
    room = threading.Semaphore(depth)
    stopped = threading.Event()

    def produce() -> None:
        problem: BaseException | None = None
        try:
            for item in source:
                ready.put(([item], None))
                room.acquire()
                if stopped.is_set():
                    return
        except BaseException as raised:
            problem = raised
        ready.put(([], problem))

    threading.Thread(target=produce, name="prefetch", daemon=True).start()
    try:
        while True:
            item, problem = ready.get()
            if problem is not None:
                raise problem
            if not item:
                return
            room.release()
            yield item[0]
    finally:
        stopped.set()
        room.release()
