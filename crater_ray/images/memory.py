"""Memory for pixels: fresh, or that of earlier pixels which nobody has any more."""

from __future__ import annotations

import mmap
import sys
import threading
from collections.abc import Callable

import numpy as np

Memory = Callable[[int], np.ndarray]
"""Gives so many bytes that nobody else has, whatever is in them: (size,) uint8."""


def fresh(size: int) -> np.ndarray:
    """Bytes that the system gives."""
    return np.empty(size, np.uint8)


def mapped(size: int) -> np.ndarray:
    """Bytes in pages of the usual size.

    NumPy asks for huge ones; where memory is in pieces, the system takes several times as long to put them together.

    Raises:
        MemoryError: there is no room.
    """
    try:
        return np.frombuffer(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    except OSError as problem:
        raise MemoryError(f"{size:,} bytes cannot be had: {problem.strerror}") from None


class UsedAgain:
    """Memory for one batch after the other: that of a batch which nobody has any more is used again.

    Fresh memory for each, 50 MB, has to be zeroed, and costs the system far more than the copy into it.
    """

    def __init__(self) -> None:
        self._held = mapped(0)
        self._taking = threading.Lock()

    def take(self, size: int) -> np.ndarray:
        """So many bytes, whatever is in them, that nobody else has: (size,) uint8."""
        with self._taking:
            # Whatever was cut from it, for Arrow too, refers to it; here it is referred to twice.
            if len(self._held) < size or sys.getrefcount(self._held) > 2:
                self._held = mapped(size)
            return self._held[:size]


class Portions:
    """One piece of memory cut into portions, one after the other; what it has no room for gets fresh memory.

    Args:
        whole: (size,) uint8.
    """

    def __init__(self, whole: np.ndarray) -> None:
        self._whole = whole
        self._taken = 0

    def take(self, size: int) -> np.ndarray:
        """So many bytes, whatever is in them, that nobody else has: (size,) uint8."""
        start, end = self._taken, self._taken + size
        if end > len(self._whole):
            return fresh(size)
        self._taken = end
        return self._whole[start:end]
