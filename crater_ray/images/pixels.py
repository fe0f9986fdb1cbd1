"""The Arrow layout of pixels: how a block's gray images travel from a loader to a scorer, packed and unpacked here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from crater_ray.images.memory import Memory, fresh

PIXELS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)
"""Per page: its image's row in the block, its number in the image's file, its size, and its (height, width) uint8
pixels. Sorted by height and width, so that pages of one size lie in one piece of memory."""


class Page(NamedTuple):
    """A page of an image: the image's row in the block, (height, width) uint8 pixels, its number in the file from 1."""

    row: int
    pixels: np.ndarray
    number: int = 1


def pack(
    images: Sequence[tuple[int, np.ndarray] | tuple[int, np.ndarray, int]],
    memory: Memory = fresh,
) -> pa.RecordBatch:
    """Put images into one batch of schema `PIXELS`; their pixels are copied once.

    Args:
        images: their pages, in any order, with the members of `Page`.
        memory: for the pixels.
    """
    pages = sorted((Page(*image) for image in images), key=lambda page: (page.pixels.shape, page.row, page.number))
    offsets = np.zeros(len(pages) + 1, np.int64)
    np.cumsum([page.pixels.size for page in pages], out=offsets[1:])
    pixels = memory(int(offsets[-1]))
    for page, start in zip(pages, offsets, strict=False):
        pixels[start : start + page.pixels.size] = page.pixels.reshape(-1)
    heights, widths = ([page.pixels.shape[axis] for page in pages] for axis in (0, 1))
    return _batch([page.row for page in pages], [page.number for page in pages], heights, widths, offsets, pixels)


def pack_stack(images: np.ndarray) -> pa.RecordBatch:
    """Put (n, height, width) uint8 images of one size into one batch, row by row; contiguous pixels are not copied."""
    n, height, width = images.shape
    offsets = np.arange(n + 1, dtype=np.int64) * (height * width)
    pixels = np.ascontiguousarray(images).reshape(-1)
    return _batch(np.arange(n), np.ones(n), np.full(n, height), np.full(n, width), offsets, pixels)


def _batch(
    rows: list[int] | np.ndarray,
    pages: list[int] | np.ndarray,
    heights: list[int] | np.ndarray,
    widths: list[int] | np.ndarray,
    offsets: np.ndarray,
    pixels: np.ndarray,
) -> pa.RecordBatch:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(pixels)]
    binary = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, null_count=0)
    columns = [pa.array(numbers, pa.int32()) for numbers in (rows, pages, heights, widths)]
    return pa.RecordBatch.from_arrays([*columns, binary], schema=PIXELS)


def unpack(batch: pa.RecordBatch) -> Iterator[tuple[slice, np.ndarray]]:
    """The images of a batch, those of one size together, without a copy.

    Yields:
        Which rows of the batch, and their (n, height, width) uint8 pixels: a view of the batch's own memory.
    """
    n = batch.num_rows
    height, width = batch["height"].to_numpy(), batch["width"].to_numpy()
    offsets, pixels = _memory(batch["pixels"], 0, n)
    start = 0
    while start < n:
        stop = start + 1
        while stop < n and height[stop] == height[start] and width[stop] == width[start]:
            stop += 1
        size = (stop - start, int(height[start]), int(width[start]))
        yield slice(start, stop), pixels[offsets[start] : offsets[stop]].reshape(size)
        start = stop


def image_of(batch: pa.RecordBatch, index: int) -> np.ndarray:
    """One image of a batch, (height, width) uint8, without a copy."""
    (start, stop), pixels = _memory(batch["pixels"], index, 1)
    return pixels[start:stop].reshape(batch["height"][index].as_py(), batch["width"][index].as_py())


def _memory(column: pa.LargeBinaryArray, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where so many images begin and end, (count + 1,) int64, and the memory that all pixels are in."""
    _, offsets, pixels = column.buffers()
    return np.frombuffer(offsets, np.int64, count + 1, (column.offset + first) * 8), np.frombuffer(pixels, np.uint8)
