"""Work on many images of a run by several processes of this machine, where that is quicker than by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

MOST = 8
"""Processes: more would wait for storage and disk."""
Job = TypeVar("Job")
Answer = TypeVar("Answer")


def in_processes(
    work: Callable[[Job], Answer], jobs: Sequence[Job], *, worth_it: bool, at_once: int = 1
) -> Iterator[Answer]:
    """What comes of jobs, in their order.

    Args:
        work: a function of a module; what it takes and gives can be pickled.
        jobs: what it is called with.
        worth_it: whether there is enough to do to start processes.
        at_once: jobs that a process is given together.
    """
    processes = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)
    if not worth_it or processes == 1:
        # In a thread, because the caller's own, such as a notebook's, may be running an event loop already.
        with ThreadPoolExecutor(1) as thread:
            yield from (thread.submit(work, job).result() for job in jobs)
        return
    # Started afresh, not forked: the caller may already hold threads that do not survive a fork.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, jobs, chunksize=at_once)
