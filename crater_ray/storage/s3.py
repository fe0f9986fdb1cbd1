"""S3-compatible object storage as a store: one PUT makes an object, and nothing is ever renamed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.storage import errors
from crater_ray.storage.base import Listed, Store
from crater_ray.storage.bulk import Answer, Buffer
from crater_ray.storage.errors import Archived, ObjectError, StorageError, TooLarge, is_archived, one_line
from crater_ray.storage.s3_clients import (
    REFUSED,
    bulk_store,
    credentials_refused,
    forget_credentials,
    learn_region,
    no_credentials,
    s3_client,
    signed_access,
)

Reply = TypeVar("Reply")

_GONE = ("NoSuchKey", "404")
_NOT_THERE = "the object is not there (any more)"
_UNADDRESSABLE = re.compile(r"[\x00-\x1f\x7f\\]|//|^/|/$|(^|/)\.\.?(/|$)")


class S3Store(Store):
    """Objects of buckets, `s3://bucket/some/key`."""

    scheme: ClassVar[str] = "s3"
    example: ClassVar[str] = "s3://bucket/prefix"

    def absolute(self, address: str) -> str:
        split_s3(address)
        return address.rstrip("/")

    def objects(self, folder: str, start: str = "") -> Iterator[Sequence[Listed]]:
        """Page by page, in the order of the keys; with the empty objects that stand for folders, named `.../`."""
        bucket, prefix = split_s3(folder)
        prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        root, skip = f"s3://{bucket}/", len(prefix)
        found = False
        pages = s3_client(self.access).get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix + start):
            contents = page.get("Contents", ())
            found = found or bool(contents)
            yield [
                Listed((key := item["Key"])[skip:], root + key, item["Size"], item.get("ETag", "").strip('"') or None)
                for item in contents
            ]
        if not found:
            raise FileNotFoundError(f"There is nothing under {root}{prefix}{start}.")

    def get_many(
        self, addresses: Sequence[str], sizes: Sequence[int | None], longest: int, last_try: bool = False
    ) -> Generator[Answer, None, None]:
        for bucket in {split_s3(address)[0] for address in addresses}:
            with contextlib.suppress(StorageError):  # each GET says so; here only lest each thread make its own client
                bulk_store(bucket, self.access)
        return super().get_many(addresses, sizes, longest, last_try)

    def get_within(self, address: str, longest: int) -> Buffer:
        import obstore
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        bucket, key = split_s3(address)
        if not _bulk_addressable(key):
            return self._get_with_boto3(bucket, key, longest)
        store = bulk_store(bucket, self.access)
        try:
            reply = obstore.get(store, key)
            size = reply.meta["size"]
            if size > longest:
                raise TooLarge(size)
            return memoryview(reply.bytes())
        except FileNotFoundError:
            raise FileNotFoundError(_NOT_THERE) from None
        except (BaseError, OSError) as problem:
            if is_archived(str(problem)):
                raise Archived from None
            if learn_region(bucket, self.access, str(problem), store):
                return self.get_within(address, longest)
            if not (
                isinstance(problem, PermissionDeniedError | UnauthenticatedError) or credentials_refused(str(problem))
            ):
                raise StorageError(f"{address}: {str(problem).partition(chr(10))[0][:300]}") from None
        # boto3 says why (expired, wrong region, ...), obstore does not; and the credentials may be new by now.
        forget_credentials(bucket, self.access, store)
        return self._get_with_boto3(bucket, key, longest)

    def _get_with_boto3(self, bucket: str, key: str, longest: int) -> bytes:
        try:
            reply: Any = s3_client(self.access).get_object(Bucket=bucket, Key=key)
            if reply["ContentLength"] > longest:
                raise TooLarge(reply["ContentLength"])
            data: bytes = reply["Body"].read()
            return data
        except (CraterRayError, MemoryError):
            raise
        except Exception as problem:
            code = code_of(problem)
            if code in _GONE:
                raise FileNotFoundError(_NOT_THERE) from None
            if is_archived(code):
                raise Archived from None
            if code in ("InvalidRequest", "InvalidURI", "KeyTooLongError"):
                raise ObjectError(f"the store does not accept this key ({code})") from None
            raise StorageError(str(self.explain(problem, f"s3://{bucket}/{key}"))) from None

    def get(self, address: str) -> bytes:
        bucket, key = split_s3(address)

        def read(client: Any) -> bytes:
            data: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            return data

        try:
            return self._request(bucket, read)
        except Exception as problem:
            if code_of(problem) in _GONE:
                raise FileNotFoundError(address) from None
            raise

    def put(self, address: str, data: bytes | Path) -> None:
        bucket, key = split_s3(address)

        def write(client: Any) -> None:
            with contextlib.ExitStack() as stack:
                body = stack.enter_context(data.open("rb")) if isinstance(data, Path) else data
                client.put_object(Bucket=bucket, Key=key, Body=body)

        self._request(bucket, write)

    def remove(self, address: str) -> None:
        bucket, key = split_s3(address)
        self._request(bucket, lambda client: client.delete_object(Bucket=bucket, Key=key))

    def _request(self, bucket: str, request: Callable[[Any], Reply]) -> Reply:
        """Send a request; once more with credentials read anew if those in use are refused."""
        try:
            return request(s3_client(self.access))
        except Exception as problem:
            if not credentials_refused(code_of(problem)):
                raise
        forget_credentials(bucket, self.access)
        return request(s3_client(self.access))

    def with_credentials(self) -> Self:
        return type(self)(signed_access(self.access))

    def explain(self, problem: Exception, where: str) -> CraterRayError:
        code, text = code_of(problem), one_line(problem)
        if isinstance(problem, CraterRayError) or (isinstance(problem, OSError) and problem.errno is not None):
            return errors.explain(problem, where)
        if is_archived(code):
            return StorageError(f"{where} is archived in cold storage. Restore it, then run the same again.")
        if code == "NoSuchBucket":
            return UsageError(f"There is no bucket at {where}. Check the name and --endpoint-url.")
        if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
            return StorageError(
                f"Access to {where} was denied. If the archive is public, add --anonymous; if those who ask pay, "
                "--requester-pays; otherwise check that the credentials in use (AWS_PROFILE, AWS_ACCESS_KEY_ID) may "
                "read and list it."
            )
        if code in REFUSED:
            return StorageError(
                f"The credentials for {where} were refused ({code}). Renew them, then run the same again."
            )
        if code in ("RequestTimeTooSkewed", "RequestExpired"):
            return StorageError(f"{where} refused the request ({code}): this machine's clock is wrong. Set it right.")
        if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
            return StorageError(f"{where} lies in another region ({text}). Set AWS_REGION to the bucket's region.")
        name = type(problem).__name__
        if name in ("NoCredentialsError", "PartialCredentialsError"):
            return StorageError(no_credentials(where))
        if name in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"):
            return StorageError(f"{where} cannot be reached ({text}). Check --endpoint-url and the network.")
        return errors.explain(problem, where)


def split_s3(address: str) -> tuple[str, str]:
    """`s3://bucket/some/key` to (`bucket`, `some/key`)."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"An S3 address must look like s3://bucket/prefix; received: {address!r}")
    return bucket, key


def code_of(problem: Exception) -> str:
    """The code that S3 gave a problem, such as `NoSuchKey`; empty if there is none."""
    response = getattr(problem, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _bulk_addressable(key: str) -> bool:
    """Whether obstore can name this key unchanged (it cannot: control characters, empty or dotted segments)."""
    return _UNADDRESSABLE.search(key) is None
