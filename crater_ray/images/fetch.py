"""Fetching: the bytes of many images in order, from files and buckets, many objects under way at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from crater_ray.images.decode import MISSING, UNREADABLE, UNSUPPORTED, Refusal
from crater_ray.images.listing import local_path
from crater_ray.storage.s3 import (
    Access,
    StorageError,
    bulk_addressable,
    bulk_store,
    code_of,
    credentials_refused,
    explain,
    forget_credentials,
    is_s3,
    s3_client,
    split_s3,
)

CONCURRENT_GETS = 32
PAUSES = (0.2, 1.0)
"""Seconds before a GET that failed is repeated, beyond what the client itself repeats: it cannot mend a cut body."""
MAX_BYTES = 512 * 1024 * 1024
"""Longer files are refused unread."""
AHEAD_BYTES = 4 * 1024 * 1024
"""Objects up to this length are fetched ahead; longer ones one by one, so that a block of them fits into memory."""

_NO_MEMORY = Refusal(UNSUPPORTED, "reading it needs more memory than there is")

Fetched = bytes | memoryview | Refusal | StorageError


def fetch(
    uris: Sequence[str], access: Access, sizes: Sequence[int | None] | None = None, last_try: bool = False
) -> Iterator[Fetched]:
    """The images' bytes in order; objects are fetched ahead while the caller works on earlier ones.

    By threads that wait: the client does its work without Python, and a thread that waits for it costs less than a
    loop that is handed the answer: 0.12 instead of 0.20 ms of a processor for a GET (`python -m benchmarks stages`).

    Args:
        uris: where the images are.
        access: how to reach S3.
        sizes: in bytes, as listed. An object of another length is fetched again before it is believed: a cut-off
            download must not pass for a damaged image.
        last_try: believe another length than listed, if it stays: the object was replaced since.
    """

    def get(uri: str, size: int | None, longest: int) -> Fetched | None:
        answer = _get_object(uri, access, longest)
        for pause in PAUSES:
            if not _is_fault(answer, size):
                break
            time.sleep(pause)
            answer = _get_object(uri, access, longest)
        if isinstance(answer, bytes | memoryview) and _is_fault(answer, size) and not last_try:
            return StorageError(f"{uri}: {len(answer):,} bytes came, {size:,} were listed")
        return answer

    listed = sizes or [None] * len(uris)
    for bucket in {split_s3(uri)[0] for uri in uris if is_s3(uri)}:
        with suppress(StorageError):  # said by each get; here only so that not every thread makes a client of its own
            bulk_store(bucket, access)
    threads = ThreadPoolExecutor(CONCURRENT_GETS, "get")
    ahead: dict[int, Future[Fetched | None]] = {
        i: threads.submit(get, uri, listed[i], AHEAD_BYTES) for i, uri in enumerate(uris) if is_s3(uri)
    }
    try:
        for i, uri in enumerate(uris):
            answer = ahead.pop(i).result() if i in ahead else _read_file(uri)
            while answer is None:
                answer = get(uri, listed[i], MAX_BYTES)
            yield answer
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _is_fault(answer: Fetched | None, size: int | None) -> bool:
    if isinstance(answer, bytes | memoryview):
        return size is not None and len(answer) != size
    return isinstance(answer, StorageError)


def _read_file(uri: str) -> Fetched:
    path = local_path(uri)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _too_long(size) or file.read()
    except MemoryError:
        return _NO_MEMORY
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


def _get_object(uri: str, access: Access, longest: int) -> Fetched | None:
    """An object's bytes; None if it is longer than `longest`, and not too long altogether."""
    import obstore
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    bucket, key = split_s3(uri)
    if not bulk_addressable(key):
        return _get_with_boto3(bucket, key, access, longest)
    try:
        store = bulk_store(bucket, access)
    except StorageError as problem:
        return problem
    try:
        answer = obstore.get(store, key)
        size = answer.meta["size"]
        if size > longest:
            return _too_long(size)
        return memoryview(answer.bytes())
    except MemoryError:
        return _NO_MEMORY
    except FileNotFoundError:
        return Refusal(MISSING, "the object is not there (any more)")
    except (BaseError, OSError) as problem:
        if isinstance(problem, PermissionDeniedError | UnauthenticatedError) or credentials_refused(str(problem)):
            # boto3 says why (expired, wrong region, ...), obstore does not; and the credentials may be new by now.
            forget_credentials(bucket, access, store)
            return _get_with_boto3(bucket, key, access, longest)
        return StorageError(f"{uri}: {_first_line(problem)}")


def _get_with_boto3(bucket: str, key: str, access: Access, longest: int) -> Fetched | None:
    try:
        answer: Any = s3_client(access).get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > longest:
            return _too_long(answer["ContentLength"])
        data: bytes = answer["Body"].read()
        return data
    except MemoryError:
        return _NO_MEMORY
    except Exception as problem:
        code = code_of(problem)
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
