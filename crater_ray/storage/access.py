"""How storage is reached: what a command says of it. Holds no credentials."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from crater_ray.errors import UsageError


@dataclass(frozen=True)
class Access:
    """How to reach object storage. Holds no credentials: those come from the environment's standard chain.

    Attributes:
        endpoint_url: a service other than the provider's own, such as `http://127.0.0.1:9000`.
        anonymous: do not sign requests.
        requester_pays: who asks pays for the request, as the bucket wants it.
    """

    endpoint_url: str | None = None
    anonymous: bool = False
    requester_pays: bool = False

    def __post_init__(self) -> None:
        if self.endpoint_url is None:
            return
        parts = urlsplit(self.endpoint_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--endpoint-url must look like http://host:port; received: {self.endpoint_url!r}")
        if parts.username or parts.password:
            raise UsageError(
                "--endpoint-url must not hold credentials: they would be recorded with the run. "
                "Put them where the service's own tools look, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
