"""The Arrow layout of pixels: how a block's gray images travel from a loader to a scorer, packed and unpacked here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

PIXELS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)
"""Per image: its row in the block, its size, and its (height, width) uint8 pixels. Sorted by height and width, so that
images of one size lie in one piece of memory."""


def pack(images: list[tuple[int, np.ndarray]]) -> pa.RecordBatch:
    """Put images into one batch of schema `PIXELS`; their pixels are copied once.

    Args:
        images: each with its row in the block, (height, width) uint8, in any order; sorted in place.
    """
    images.sort(key=lambda image: (image[1].shape, image[0]))
    offsets = np.zeros(len(images) + 1, np.int64)
    np.cumsum([image.size for _, image in images], out=offsets[1:])
    pixels = np.empty(int(offsets[-1]), np.uint8)
    for (_, image), start in zip(images, offsets, strict=False):
        pixels[start : start + image.size] = image.reshape(-1)
    heights, widths = ([image.shape[axis] for _, image in images] for axis in (0, 1))
    return _batch([row for row, _ in images], heights, widths, offsets, pixels)


def pack_stack(images: np.ndarray) -> pa.RecordBatch:
    """Put (n, height, width) uint8 images of one size into one batch, row by row; contiguous pixels are not copied."""
    n, height, width = images.shape
    offsets = np.arange(n + 1, dtype=np.int64) * (height * width)
    pixels = np.ascontiguousarray(images).reshape(-1)
    return _batch(np.arange(n), np.full(n, height), np.full(n, width), offsets, pixels)


def _batch(
    rows: list[int] | np.ndarray,
    heights: list[int] | np.ndarray,
    widths: list[int] | np.ndarray,
    offsets: np.ndarray,
    pixels: np.ndarray,
) -> pa.RecordBatch:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(pixels)]
    binary = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, null_count=0)
    columns = [pa.array(numbers, pa.int32()) for numbers in (rows, heights, widths)]
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
