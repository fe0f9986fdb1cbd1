"""S3-compatible object storage: how it is reached, and plain words for what goes wrong there.

boto3 finds credentials, lists, and reads and writes the run folder: it accepts every key and names every error.
obstore fetches the images in bulk, at a seventh of boto3's CPU time per GET.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crater_ray.errors import CraterRayError, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Store


RETRIES = 5
TIMEOUT_SECONDS = 60.0
"""For one GET of an image, body included: site images have about 60 KB, raw frames 800 KB. Else for each word of it."""


class StorageError(CraterRayError):
    """Storage could not be reached or refused; trying again later may help."""


@dataclass(frozen=True)
class Access:
    """How to reach object storage. Holds no credentials: those come from the environment's standard chain.

    Attributes:
        endpoint_url: an S3-compatible service other than Amazon's, such as `http://127.0.0.1:9000`.
        anonymous: do not sign requests.
    """

    endpoint_url: str | None = None
    anonymous: bool = False

    def __post_init__(self) -> None:
        if self.endpoint_url is None:
            return
        parts = urlsplit(self.endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--endpoint-url must look like http://host:port; received: {self.endpoint_url!r}")
        if parts.username or parts.password:
            raise UsageError(
                "--endpoint-url must not hold credentials: they would be recorded with the run. "
                "Put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or into a profile."
            )


def is_s3(uri: str) -> bool:
    return uri.startswith("s3://")


def split_s3(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` to (`bucket`, `some/key`)."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"An S3 address must look like s3://bucket/prefix; received: {uri!r}")
    return bucket, key


_ENDPOINT_VARIABLES = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}


@cache
def s3_client(access: Access) -> Any:
    """A boto3 client with credentials from the standard chain (environment, profile, SSO, role)."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        signature_version=UNSIGNED if access.anonymous else None,
        retries={"max_attempts": 5, "mode": "standard"},
        connect_timeout=10,
        read_timeout=TIMEOUT_SECONDS,
        s3={"addressing_style": "path"} if access.endpoint_url or _ENDPOINT_VARIABLES & set(os.environ) else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.Session()
        region = session.region_name or "us-east-1"
        return session.client("s3", endpoint_url=access.endpoint_url, region_name=region, config=config)
    except BotoCoreError as problem:
        raise UsageError(f"The credentials or settings for S3 cannot be used: {problem}") from None


_REFUSED = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired")


def credentials_refused(text: str) -> bool:
    """Whether an answer of storage, in whatever words, says that the credentials are not valid (any more)."""
    return any(code in text for code in _REFUSED)


def forget_credentials(bucket: str, access: Access, store: S3Store | None = None) -> None:
    """Make clients anew from now on, so that credentials renewed in a profile meanwhile are found.

    Args:
        bucket, access: of the client whose request was refused.
        store: that client; nothing happens if it has been replaced since.
    """
    if store is None or bulk_store(bucket, access) is store:
        bulk_store.cache_clear()
        s3_client.cache_clear()


def writing_access(access: Access) -> Access:
    """The access for a run folder: signed where there are credentials, however the archive itself is read."""
    import boto3

    signed = Access(access.endpoint_url)
    return access if access.anonymous and boto3.Session().get_credentials() is None else signed


@cache
def bulk_store(bucket: str, access: Access) -> S3Store:
    """An obstore store for fetching many objects of one bucket."""
    from datetime import timedelta

    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    client = s3_client(access)
    endpoint = client.meta.endpoint_url
    options: dict[str, Any] = {
        "region": _bucket_region(client, bucket, access),
        "client_options": {
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(seconds=TIMEOUT_SECONDS),
            "pool_max_idle_per_host": "64",
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=90),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
        },
    }
    if access.endpoint_url or not endpoint.endswith("amazonaws.com"):
        options["endpoint"] = endpoint
    if access.anonymous:
        options["skip_signature"] = True
    else:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise StorageError(_no_credentials(f"s3://{bucket}"))
        options["credential_provider"] = Boto3CredentialProvider(session)
    return S3Store(bucket, **options)


def _bucket_region(client: Any, bucket: str, access: Access) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    region: str = client.meta.region_name
    if access.endpoint_url:
        return region
    try:
        headers = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as problem:
        headers = problem.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    except BotoCoreError:
        return region
    return str(headers.get("x-amz-bucket-region", region))


_UNADDRESSABLE = re.compile(r"[\x00-\x1f\x7f\\]|//|^/|/$|(^|/)\.\.?(/|$)")


def bulk_addressable(key: str) -> bool:
    """Whether obstore can name this key unchanged (it cannot: control characters, empty or dotted segments)."""
    return _UNADDRESSABLE.search(key) is None


def code_of(problem: Exception) -> str:
    """The code that S3 gave a problem, such as `NoSuchKey`; empty if there is none."""
    response = getattr(problem, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def explain(problem: Exception, where: str) -> CraterRayError:
    """Say in one line what a storage problem means and what to do about it.

    Args:
        problem: what boto3, obstore or the operating system raised.
        where: the folder, bucket or object concerned.
    """
    if isinstance(problem, CraterRayError):
        return problem
    code = code_of(problem)
    text = " ".join(str(problem).split())[:300]
    if isinstance(problem, OSError) and problem.errno is not None:
        return _explain_os(problem, where)
    if code in ("NoSuchBucket",):
        return UsageError(f"There is no bucket at {where}. Check the name and --endpoint-url.")
    if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
        return StorageError(
            f"Access to {where} was denied. If the archive is public, add --anonymous; "
            "otherwise check that the credentials in use (AWS_PROFILE, AWS_ACCESS_KEY_ID) may read and list it."
        )
    if code in _REFUSED:
        return StorageError(f"The credentials for {where} were refused ({code}). Renew them, then run the same again.")
    if code in ("RequestTimeTooSkewed", "RequestExpired"):
        return StorageError(f"{where} refused the request ({code}): this machine's clock is wrong. Set it right.")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"):
        return StorageError(f"{where} lies in another region ({text}). Set AWS_REGION to the bucket's region.")
    name = type(problem).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return StorageError(_no_credentials(where))
    if name in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError"):
        return StorageError(f"{where} cannot be reached ({text}). Check --endpoint-url and the network.")
    return StorageError(f"Storage at {where} failed: {text or name}")


def _no_credentials(where: str) -> str:
    return (
        f"There are no credentials for {where}. If the archive is public, add --anonymous; "
        "otherwise set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )


def _explain_os(problem: OSError, where: str) -> CraterRayError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"There is no room left at {where}. Free some space, then run the same command to go on.")
    if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{where} may not be written or read ({problem.strerror}). Check its permissions.")
    if problem.errno == errno.ENOTDIR:
        return UsageError(f"{where} cannot be used: a part of that path is a file, not a folder.")
    return StorageError(f"Storage at {where} failed: {problem.strerror or problem}")
