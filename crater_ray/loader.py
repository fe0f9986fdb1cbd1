"""Loading: a block of a shard's images from storage into one Arrow batch of gray pixels, on any node's CPU."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.archive import local_path
from crater_ray.decode import MISSING, OK, UNREADABLE, UNSUPPORTED, Refusal, decode
from crater_ray.storage import Access, StorageError, bulk_addressable, bulk_store, explain, is_s3, s3_client, split_s3

BLOCK_IMAGES = 64
BLOCK_PIXELS = 64_000_000
"""A block ends early once it holds this many pixels; what is left of it becomes another block."""
CONCURRENT_GETS = 32
MAX_BYTES = 512 * 1024 * 1024

BATCH = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("pixels", pa.large_binary(), nullable=False),
    ]
)
"""Sorted by height and width, so that images of one size lie in one piece of memory."""


@dataclass
class Loaded:
    """What became of each image of a block; small, for the driver. The pixels travel apart, to the scorer.

    Attributes:
        done: how many images of the block were dealt with, from its start; the rest has to be asked for again.
        status: (done,) each image's status.
        error: (done,) reasons, or None.
        height, width: (done,) in pixels, or None.
        readable: how many have pixels.
        bytes_read: from storage.
        seconds: fetching (waiting) and decoding (computing).
    """

    done: int = 0
    status: list[str] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)
    height: list[int | None] = field(default_factory=list)
    width: list[int | None] = field(default_factory=list)
    readable: int = 0
    bytes_read: int = 0
    seconds_fetching: float = 0.0
    seconds_decoding: float = 0.0


def load(uris: Sequence[str], access: Access, last_try: bool = False) -> tuple[Loaded, pa.RecordBatch]:
    """Read and decode a block.

    Args:
        uris: where the images are.
        access: how to reach S3.
        last_try: storage has failed on this block before. If it still fails for some images but not for all, those
            images, not storage, are at fault, and become unreadable rows.

    Returns:
        What became of each image, and the pixels of the readable ones as a batch of schema `BATCH`.

    Raises:
        StorageError: storage failed in a way that says nothing about the images.
    """
    return asyncio.run(_load(uris, access, last_try))


async def _load(uris: Sequence[str], access: Access, last_try: bool) -> tuple[Loaded, pa.RecordBatch]:
    loaded = Loaded()
    images: list[tuple[int, np.ndarray]] = []
    pixels = 0
    faults = 0
    fault: StorageError | None = None
    asked = time.perf_counter()
    async for data in fetch(uris, access):
        fetched = time.perf_counter()
        if isinstance(data, StorageError):
            if not last_try:
                raise data
            faults, fault = faults + 1, data
            answer: np.ndarray | Refusal = Refusal(UNREADABLE, str(data))
        elif isinstance(data, Refusal):
            answer = data
        else:
            loaded.bytes_read += len(data)
            answer = decode(data)
        _note(loaded, answer)
        if isinstance(answer, np.ndarray):
            images.append((loaded.done - 1, answer))
            pixels += answer.size
        decoded = time.perf_counter()
        loaded.seconds_fetching += fetched - asked
        loaded.seconds_decoding += decoded - fetched
        asked = decoded
        if pixels > BLOCK_PIXELS:
            break
    if fault is not None and faults == loaded.done:
        raise fault
    return loaded, _to_arrow(images)


def _note(loaded: Loaded, answer: np.ndarray | Refusal) -> None:
    loaded.done += 1
    if isinstance(answer, Refusal):
        loaded.status.append(answer.status)
        loaded.error.append(answer.reason)
        loaded.height.append(answer.height)
        loaded.width.append(answer.width)
    else:
        loaded.status.append(OK)
        loaded.error.append(None)
        loaded.height.append(answer.shape[0])
        loaded.width.append(answer.shape[1])
        loaded.readable += 1


def _to_arrow(images: list[tuple[int, np.ndarray]]) -> pa.RecordBatch:
    images.sort(key=lambda image: (image[1].shape, image[0]))
    offsets = np.zeros(len(images) + 1, np.int64)
    np.cumsum([image.size for _, image in images], out=offsets[1:])
    pixels = np.empty(int(offsets[-1]), np.uint8)
    for (_, image), start in zip(images, offsets, strict=False):
        pixels[start : start + image.size] = image.reshape(-1)
    binary = pa.Array.from_buffers(
        pa.large_binary(), len(images), [None, pa.py_buffer(offsets), pa.py_buffer(pixels)], null_count=0
    )
    columns = [
        pa.array([row for row, _ in images], pa.int32()),
        pa.array([image.shape[0] for _, image in images], pa.int32()),
        pa.array([image.shape[1] for _, image in images], pa.int32()),
        binary,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=BATCH)


Fetched = bytes | memoryview | Refusal | StorageError


async def fetch(uris: Sequence[str], access: Access) -> AsyncIterator[Fetched]:
    """The images' bytes in order; objects are fetched ahead while earlier ones are being decoded."""
    free = asyncio.Semaphore(CONCURRENT_GETS)

    async def get(uri: str) -> Fetched:
        async with free:
            return await _get_object(uri, access)

    ahead = {i: asyncio.ensure_future(get(uri)) for i, uri in enumerate(uris) if is_s3(uri)}
    try:
        for i, uri in enumerate(uris):
            yield await ahead.pop(i) if i in ahead else _read_file(uri)
    finally:
        for task in ahead.values():
            task.cancel()


def _read_file(uri: str) -> Fetched:
    path = local_path(uri)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _too_long(size) or file.read()
    except (FileNotFoundError, NotADirectoryError):
        return Refusal(MISSING, "the file is not there (any more)")
    except IsADirectoryError:
        return Refusal(UNREADABLE, "this is a folder, not a file")
    except PermissionError as problem:
        return Refusal(UNREADABLE, f"the file may not be read ({problem.strerror})")
    except ValueError as problem:  # a zero byte within a name
        return Refusal(UNREADABLE, f"the file's name cannot be used: {problem}")
    except OSError as problem:
        return StorageError(f"{os.fsdecode(path)}: {problem.strerror or problem}")


async def _get_object(uri: str, access: Access) -> Fetched:
    import obstore
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    bucket, key = split_s3(uri)
    if not bulk_addressable(key):
        return await asyncio.to_thread(_get_odd_key, bucket, key, access)
    try:
        answer = await obstore.get_async(bulk_store(bucket, access), key)
        refusal = _too_long(answer.meta["size"])
        return refusal or memoryview(await answer.bytes_async())
    except FileNotFoundError:
        return Refusal(MISSING, "the object is not there (any more)")
    except (PermissionDeniedError, UnauthenticatedError) as problem:
        return await _explain_denial(bucket, key, access, problem)
    except (BaseError, OSError) as problem:
        return StorageError(f"{uri}: {_first_line(problem)}")
    except StorageError as problem:
        return problem


async def _explain_denial(bucket: str, key: str, access: Access, problem: Exception) -> StorageError:
    """boto3 says why access was denied (expired, wrong region, ...); obstore does not."""
    answer = await asyncio.to_thread(_get_odd_key, bucket, key, access)
    return answer if isinstance(answer, StorageError) else StorageError(f"s3://{bucket}/{key}: {_first_line(problem)}")


def _get_odd_key(bucket: str, key: str, access: Access) -> Fetched:
    try:
        answer: Any = s3_client(access).get_object(Bucket=bucket, Key=key)
        refusal = _too_long(answer["ContentLength"])
        return refusal or answer["Body"].read()
    except Exception as problem:
        response = getattr(problem, "response", None) or {}
        code = response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404"):
            return Refusal(MISSING, "the object is not there (any more)")
        if code in ("InvalidRequest", "InvalidURI", "KeyTooLongError"):
            return Refusal(UNREADABLE, f"the store does not accept this key ({code})")
        return StorageError(str(explain(problem, f"s3://{bucket}/{key}")))


def _too_long(size: int) -> Refusal | None:
    if size <= MAX_BYTES:
        return None
    return Refusal(UNSUPPORTED, f"{size:,} bytes: more than {MAX_BYTES:,} are refused")


def _first_line(problem: Exception) -> str:
    return str(problem).split("\n", 1)[0][:300]
