"""Loading: a block of a shard's images from storage into one Arrow batch of gray pixels, on any node's CPU."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pyarrow as pa

from crater_ray.images.decode import read_picture
from crater_ray.images.fetch import fetch
from crater_ray.images.memory import Portions, UsedAgain
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.pixels import Page, pack
from crater_ray.images.sidecars import read_sidecars
from crater_ray.images.status import OK, UNREADABLE, Refusal
from crater_ray.planting.recipe import Recipe, split
from crater_ray.runs.columns import given_by
from crater_ray.scanning.planted import read_planted
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.watching.metrics import note_loaded

BLOCK_IMAGES = 256
BLOCK_PIXELS = 64_000_000
"""A block ends early once it holds this many pixels; what is left of it becomes another block."""
MEMORY_BYTES = 3_000_000_000
"""What a loader may take for a block: the files fetched ahead, the pixels, and one image being decoded."""


@dataclass
class Loaded:
    """What became of each image of a block; small, for the driver. The pixels travel apart, to the scorer.

    Attributes:
        done: how many images of the block were dealt with, from its start; the rest has to be asked for again.
        values: (done,) each, by name of the columns that a loader gives; None for null.
        origins: (done,) left and top, in pixels: where in its file the part of an image begins that is looked at.
        readable: how many have pixels.
        bytes_read: from storage.
        seconds: fetching (waiting) and decoding (computing).
        node: id of the machine on which the pixels are; empty outside of Ray.
    """

    done: int = 0
    values: dict[str, list[Any]] = field(default_factory=lambda: {column.name: [] for column in given_by("loader")})
    origins: list[tuple[int, int]] = field(default_factory=list)
    readable: int = 0
    bytes_read: int = 0
    seconds_fetching: float = 0.0
    seconds_decoding: float = 0.0
    node: str = ""

    @property
    def status(self) -> list[str]:
        return self.values["status"]

    def note(self, answer: Picture | Refusal) -> None:
        """Add the next image of the block, as it was read or refused."""
        self.done += 1
        self.readable += isinstance(answer, Picture)
        self.origins.append((answer.left, answer.top) if isinstance(answer, Picture) else (0, 0))
        values = values_of(answer)
        for name, column in self.values.items():
            column.append(values.pop(name, None))
        if values:
            raise KeyError(f"crater_ray.runs.columns declares no column of the loader called {', '.join(values)}")


def values_of(answer: Picture | Refusal) -> dict[str, Any]:
    """What a loader says of an image, by name of column; those left out are null.

    Args:
        answer: its picture, or why there is none.
    """
    if isinstance(answer, Refusal):
        return {"status": answer.status, "error": answer.reason, "height": answer.height, "width": answer.width}
    of_pixels = {column.name: column.of_pixels(answer.pixels) for column in given_by("loader") if column.of_pixels}
    return {"status": OK} | answer.values() | of_pixels


def load(
    uris: Sequence[str],
    access: Access,
    last_try: bool = False,
    sizes: Sequence[int | None] | None = None,
    reading: Reading = Reading(),
    planted: bool = False,
) -> tuple[Loaded, pa.RecordBatch]:
    """Read and decode a block.

    Args:
        uris: where the images are.
        access: how to reach object storage.
        last_try: storage has failed on this block before. If it still fails for some images but not for all, those
            images, not storage, are at fault, and become unreadable rows.
        sizes: in bytes, as listed; see `crater_ray.images.fetch`.
        reading: how to read them.
        planted: the addresses end in recipes: plant their craters into the images.

    Returns:
        What became of each image, and the pixels of the readable ones as a batch; see `crater_ray.images.pixels`.

    Raises:
        StorageError: storage failed in a way that says nothing about the images.
    """
    memory = Portions(_memory_of_decoded().take(BLOCK_PIXELS))
    with bounded_memory():
        loaded, images = _load(uris, access, last_try, sizes, reading, planted, memory)
    loaded.node = _node()
    note_loaded(loaded.bytes_read, loaded.seconds_fetching, loaded.seconds_decoding)
    return loaded, pack(images, _memory().take)


@cache
def _memory() -> UsedAgain:
    """For the blocks of this process: as soon as Ray has one in its store, the next one may have its memory."""
    return UsedAgain()


@cache
def _memory_of_decoded() -> UsedAgain:
    """For the images of a block, before they are packed."""
    return UsedAgain()


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


@contextmanager
def bounded_memory(more: int = MEMORY_BYTES) -> Iterator[None]:
    """Let this process have so many bytes more than it has now, and no more: what asks for them gets a MemoryError.

    An image that would take the machine's memory thus becomes a row that says so, instead of having the operating
    system choose which process to kill.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pa.array([0])  # Arrow takes address space for all its work at once; that is not the images' doing
    try:
        with open("/proc/self/statm", "rb") as statm:
            limit = int(statm.read().split()[5]) * resource.getpagesize() + more
        if limit < min((bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY), default=limit + 1):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    except (OSError, ValueError, IndexError):  # not Linux: the bounds per image still hold
        pass
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _load(
    uris: Sequence[str],
    access: Access,
    last_try: bool,
    sizes: Sequence[int | None] | None,
    reading: Reading,
    planted: bool,
    memory: Portions,
) -> tuple[Loaded, list[Page]]:
    loaded = Loaded()
    images: list[Page] = []
    pixels = 0
    faults = 0
    fault: StorageError | None = None
    recipes: Sequence[Recipe | None] = [None] * len(uris)
    if planted:
        uris, recipes = split(uris)
    sidecars = read_sidecars(uris, reading.sidecars, access, last_try)
    asked = time.perf_counter()
    for data, sidecar in zip(fetch(uris, access, sizes, last_try), sidecars, strict=True):
        fetched = time.perf_counter()
        if isinstance(data, StorageError):
            if not last_try:
                raise data
            faults, fault = faults + 1, data
            answer: Picture | Refusal = Refusal(UNREADABLE, str(data))
        elif isinstance(data, Refusal):
            answer = data
        else:
            loaded.bytes_read += len(data)
            recipe = recipes[loaded.done]
            if recipe:
                answer = read_planted(data, recipe, reading, sidecar)
            else:
                answer = read_picture(data, reading, sidecar, memory.take)
        loaded.note(answer)
        if isinstance(answer, Picture):
            for number, page in answer.pages:
                images.append(Page(loaded.done - 1, page, number))
                pixels += page.size
        decoded = time.perf_counter()
        loaded.seconds_fetching += fetched - asked
        loaded.seconds_decoding += decoded - fetched
        asked = decoded
        if pixels > BLOCK_PIXELS:
            break
    if fault is not None and faults == loaded.done:
        raise fault
    return loaded, images
