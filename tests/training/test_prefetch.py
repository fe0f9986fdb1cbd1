"""Batches prepared in a thread: same items, same order, same errors, and the thread ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from training.fitting.prefetch import prefetch


def _running() -> bool:
    return any(thread.name == "prefetch" for thread in threading.enumerate())


def _ends() -> bool:
    stop = time.monotonic() + 10
    while _running() and time.monotonic() < stop:
        time.sleep(0.01)
    return not _running()


def test_items_come_in_order_and_the_thread_ends() -> None:
    assert list(prefetch(range(1000), depth=2)) == list(range(1000))
    assert _ends()


def test_items_before_an_error_come_first() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    taken = []
    with pytest.raises(ValueError, match="third"):
        for item in prefetch(source()):
            taken.append(item)
    assert taken == [1, 2]
    assert _ends()


def test_no_more_are_made_than_wait_and_the_thread_ends_when_nobody_takes_any_more() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    items = prefetch(source(), depth=3)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(made) <= 5
    items.close()  # type: ignore[attr-defined]
    assert _ends()
    assert len(made) <= 6
