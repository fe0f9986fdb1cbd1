"""Google Cloud Storage as a store, `gs://bucket/prefix`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from crater_ray.errors import UsageError
from crater_ray.storage.cloud import CloudStore

_CREDENTIALS = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
    *("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN"),
)
_PROJECT = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")


class GoogleStore(CloudStore):
    """Objects of buckets. Another service than Google's: `--endpoint-url`, or STORAGE_EMULATOR_HOST."""

    scheme: ClassVar[str] = "gs"
    example: ClassVar[str] = "gs://bucket/prefix"
    container_word: ClassVar[str] = "bucket"
    variables: ClassVar[str] = "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`"

    def has_credentials(self) -> bool:
        return any(os.environ.get(name) for name in _CREDENTIALS) or _login().is_file()

    def connect(self, container: str, options: dict[str, Any]) -> Any:
        from obstore.store import GCSStore

        client = options["client_options"]
        endpoint = self.access.endpoint_url or os.environ.get("STORAGE_EMULATOR_HOST") or ""
        if endpoint and "://" not in endpoint:
            endpoint = f"http://{endpoint}"
        if endpoint:
            options["base_url"] = endpoint.rstrip("/")
        client["allow_http"] = (endpoint or os.environ.get("GOOGLE_BASE_URL", "")).startswith("http://")
        if self.access.anonymous or (endpoint and not self.has_credentials()):
            options["skip_signature"] = True
        if self.access.requester_pays:
            client["default_headers"] = {"x-goog-user-project": _project()}
        return GCSStore(container, **options)


def _login() -> Path:
    """Where gcloud keeps who is logged in."""
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    return Path(folder, "application_default_credentials.json")


def _project() -> str:
    """The project that pays."""
    for name in _PROJECT:
        if os.environ.get(name):
            return os.environ[name]
    file = Path(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or _login())
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        project = content.get("quota_project_id") or content["project_id"]
        return str(project)
    except (OSError, ValueError, KeyError, AttributeError):
        raise UsageError(
            "With --requester-pays, gs:// has to know which project pays. Set GOOGLE_CLOUD_PROJECT to its id."
        ) from None
