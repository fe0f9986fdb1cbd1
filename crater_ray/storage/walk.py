"""Walking a folder of the local file system: every file once, links followed, whatever goes round told by identity."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from crater_ray.storage.errors import explain

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Why a link leads to nothing."""
Identity = tuple[int, int]
"""Device and inode: of two paths with the same one, both name the same folder."""


def walk(top: bytes, start: bytes = b"") -> Iterator[bytes]:
    """The paths of all files below a folder, relative to it, in order; those of each folder behind a link once.

    A link to a folder is followed, unless that is listed anyway (it lies in `top`, or in a folder that an earlier link
    leads to), or the link goes round: to what holds `top`, or holds a folder behind a link on the way to this one.

    Args:
        top: the folder.
        start: what the paths must begin with.

    Raises:
        CraterRayError: a folder cannot be read.
    """
    roots = Roots(top)
    pending = [b""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(os.path.join(top, below) if below else top) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError as problem:
            raise explain(problem, os.fsdecode(os.path.join(top, below))) from None
        folders = []
        for entry in found:
            path = os.path.join(below, entry.name) if below else entry.name
            if _is_folder(entry):
                inside = not start or (path + b"/").startswith(start) or start.startswith(path + b"/")
                if inside and not roots.have(entry, path):
                    folders.append(path)
            elif path.startswith(start):
                yield path
        pending.extend(reversed(folders))


class Roots:
    """The folders from which a walk sets out: its top, and each that a link leads to. Whatever is below is listed once.

    Args:
        top: the first of them.
    """

    def __init__(self, top: bytes) -> None:
        chain = _chain(os.path.realpath(top))
        self._roots = {chain[0]}
        self._inodes = {chain[0][1]}
        self._above = {b"": set(chain[1:])}  # what holds each root, by the path at which the walk enters it

    def have(self, entry: os.DirEntry[bytes], path: bytes) -> bool:
        """Whether a folder was met before, will be met in another way, or goes round; else a link's becomes a root.

        A folder that is no link is new, unless it is a root itself: one inode, known without asking, tells.

        Args:
            entry: the folder, or a link to one.
            path: its path below the top.
        """
        try:
            if not entry.is_symlink():
                return entry.inode() in self._inodes and _identity(entry.path) in self._roots
            chain = _chain(os.path.realpath(entry.path))
        except OSError as problem:
            raise explain(problem, os.fsdecode(entry.path)) from None
        round_ = any(chain[0] in self._above.get(way, ()) for way in _ways(path))
        if round_ or not self._roots.isdisjoint(chain):
            return True
        self._roots.add(chain[0])
        self._inodes.add(chain[0][1])
        self._above[path] = set(chain[1:])
        return False


def _identity(path: bytes) -> Identity:
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino


def _chain(real: bytes) -> list[Identity]:
    """A folder and all that hold it; `real` has no link in it."""
    chain = [_identity(real)]
    while (parent := os.path.dirname(real)) != real:
        real = parent
        chain.append(_identity(real))
    return chain


def _ways(path: bytes) -> Iterator[bytes]:
    """The folders on the way to a path, from the top on."""
    yield b""
    for at, letter in enumerate(path):
        if letter == ord("/"):
            yield path[:at]


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=True)
    except OSError as problem:
        if problem.errno in _NOWHERE:  # such as a link to itself: reading it will say so
            return False
        raise explain(problem, os.fsdecode(entry.path)) from None
