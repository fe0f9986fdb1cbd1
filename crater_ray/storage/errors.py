"""What goes wrong with storage: whether storage is at fault or one object, and what the person can do."""

from __future__ import annotations

import errno
from pathlib import Path

from crater_ray.errors import CraterRayError, UsageError


class StorageError(CraterRayError):
    """Storage could not be reached or refused; trying again later may help."""


class ObjectError(CraterRayError):
    """Storage answers, but the bytes of this one object cannot be had; trying again does not help.

    An object that is not there at all is a `FileNotFoundError` instead.
    """


class TooLarge(ObjectError):
    """The object is longer than asked for, and was not read.

    Args:
        size: its length in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def __str__(self) -> str:
        return f"{self.size:,} bytes are too many"


class Archived(ObjectError):
    """The object lies in cold storage, from where it has to be restored before it can be read."""

    def __init__(self) -> None:
        super().__init__("the object is archived in cold storage: restore it, then `rescan --status archived`")


def is_archived(text: str) -> bool:
    """Whether an answer of storage, in whatever words, says that the object is in cold storage."""
    return any(code in text for code in ("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"))


def explain(problem: Exception, where: str) -> CraterRayError:
    """Say in one line what a problem with a file or an object means and what to do about it.

    Args:
        problem: what the operating system, or a client of storage, raised.
        where: the file, folder or object concerned.
    """
    if isinstance(problem, CraterRayError):
        return problem
    if not isinstance(problem, OSError) or problem.errno is None:
        return StorageError(f"Storage at {where} failed: {one_line(problem) or type(problem).__name__}")
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"There is no room left at {where}. Free some space, then run the same command to go on.")
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{where} may not be written or read ({problem.strerror}). Check its permissions.")
    if problem.errno == errno.ENOENT:
        return UsageError(f"{where} is not there, or the folder that it should be in is not. Check the path.")
    if problem.errno in (errno.EEXIST, errno.ENOTDIR) and Path(where).is_file():
        return UsageError(f"{where} is a file. Give the name of a folder.")
    if problem.errno == errno.ENOTDIR:
        return UsageError(f"{where} cannot be used: a part of that path is a file, not a folder.")
    return StorageError(f"Storage at {where} failed: {problem.strerror or problem}")


def one_line(problem: Exception) -> str:
    """What an exception says, as one line of at most 300 characters."""
    return " ".join(str(problem).split())[:300]
