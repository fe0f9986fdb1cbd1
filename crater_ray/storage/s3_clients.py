"""The clients of S3-compatible storage, boto3's and obstore's: made once a process, with credentials that may change.

boto3 finds credentials, lists, and reads and writes single objects: it accepts every key and names every error.
obstore fetches objects in bulk, at a seventh of boto3's CPU time per GET.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from crater_ray.errors import UsageError
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import S3Store as BulkStore

RETRIES = 5
TIMEOUT_SECONDS = 60.0
"""For one GET of an image, body included: site images have about 60 KB, raw frames 800 KB. Else for each word of it."""
REFUSED = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired")
"""Codes of answers that say that the credentials are not valid, or not any more."""

_ENDPOINT_VARIABLES = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}


_regions: dict[tuple[str, str | None], str] = {}
"""Where buckets of other services lie, once they have said so."""


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
        client = session.client("s3", endpoint_url=access.endpoint_url, region_name=region, config=config)
    except BotoCoreError as problem:
        raise UsageError(f"The credentials or settings for S3 cannot be used: {problem}") from None
    if access.requester_pays:
        client.meta.events.register("before-call.s3", _pay)
    return client


def _pay(params: dict[str, Any], **_: object) -> None:
    params["headers"]["x-amz-request-payer"] = "requester"


@cache
def bulk_store(bucket: str, access: Access) -> BulkStore:
    """An obstore store for fetching many objects of one bucket."""
    from datetime import timedelta

    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store as BulkStore

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
    if access.requester_pays:
        options["request_payer"] = True
    if access.anonymous:
        options["skip_signature"] = True
    else:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise StorageError(no_credentials(f"s3://{bucket}"))
        options["credential_provider"] = Boto3CredentialProvider(session)
    return BulkStore(bucket, **options)


def _bucket_region(client: Any, bucket: str, access: Access) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    region: str = _regions.get((bucket, access.endpoint_url), client.meta.region_name)
    if access.endpoint_url:
        return region
    try:
        headers = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as problem:
        headers = problem.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    except BotoCoreError:
        return region
    return str(headers.get("x-amz-bucket-region", region))


def learn_region(bucket: str, access: Access, answer: str, store: BulkStore) -> bool:
    """Take note of the region that a service names when it refuses a request for another.

    Args:
        bucket, access: of the client whose request was refused.
        answer: the refusal.
        store: that client.

    Returns:
        Whether a client made anew would ask for another region.
    """
    named = re.search(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'", answer)
    region = (named[1] or named[2]) if named and "AuthorizationHeaderMalformed" in answer else None
    if region is None or store.config.get("region") == region:
        return False
    if _regions.get((bucket, access.endpoint_url)) != region:  # else another thread has learnt it already
        _regions[bucket, access.endpoint_url] = region
        bulk_store.cache_clear()
    return True


def credentials_refused(text: str) -> bool:
    """Whether an answer of storage, in whatever words, says that the credentials are not valid (any more)."""
    return any(code in text for code in REFUSED)


def forget_credentials(bucket: str, access: Access, store: BulkStore | None = None) -> None:
    """Make clients anew from now on, so that credentials renewed in a profile meanwhile are found.

    Args:
        bucket, access: of the client whose request was refused.
        store: that client; nothing happens if it has been replaced since.
    """
    if store is None or bulk_store(bucket, access) is store:
        bulk_store.cache_clear()
        s3_client.cache_clear()


def signed_access(access: Access) -> Access:
    """The access with signatures where there are credentials; else as it is."""
    import boto3

    signed = replace(access, anonymous=False)
    return access if access.anonymous and boto3.Session().get_credentials() is None else signed


def no_credentials(where: str) -> str:
    """What to do where there are none."""
    return (
        f"There are no credentials for {where}. If the archive is public, add --anonymous; "
        "otherwise set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
