"""Azure Blob Storage as a store, `az://container/prefix`, of the account that the environment names."""

from __future__ import annotations

import os
import shutil
from typing import Any, ClassVar

from crater_ray.errors import UsageError
from crater_ray.storage.cloud import CloudStore

_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_KEY = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY")
_SIGNATURE = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
_IDENTITY = (
    *("AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_TOKEN", "AZURE_FEDERATED_TOKEN_FILE"),
    *("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "AZURE_USE_AZURE_CLI"),
)
_ENDPOINT = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


class AzureStore(CloudStore):
    """Blobs of containers. Another service than Azure's: `--endpoint-url http://host:port/account`."""

    scheme: ClassVar[str] = "az"
    example: ClassVar[str] = "az://container/prefix"
    container_word: ClassVar[str] = "container"
    variables: ClassVar[str] = (
        "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, "
        "AZURE_STORAGE_SAS_TOKEN or `az login`"
    )

    def has_credentials(self) -> bool:
        told = _connection()
        return bool(
            {"AccountKey", "SharedAccessSignature", "UseDevelopmentStorage"} & told.keys()
            or _first(_KEY + _SIGNATURE + _IDENTITY)
        )

    def connect(self, container: str, options: dict[str, Any]) -> Any:
        from obstore.store import AzureStore as BlobStore

        if self.access.requester_pays:
            raise UsageError("--requester-pays is for s3:// and gs://; Azure has no such containers.")
        told = _connection()
        endpoint = self.access.endpoint_url or told.get("BlobEndpoint") or _first(_ENDPOINT)
        account = told.get("AccountName") or _first(_ACCOUNT)
        account = account or endpoint.rstrip("/").rpartition("/")[2].partition(".")[0]
        if told.get("UseDevelopmentStorage", "").lower() == "true":
            options["use_emulator"] = True
        elif not account:
            raise UsageError(f"Which account has az://{container}? Set {self.variables}.")
        else:
            options["account_name"] = account
        if endpoint:
            options["endpoint"] = endpoint.rstrip("/")
        options["client_options"]["allow_http"] = endpoint.startswith("http://") or "use_emulator" in options
        options |= self._credentials(told)
        return BlobStore(container, **options)

    def _credentials(self, told: dict[str, str]) -> dict[str, Any]:
        if self.access.anonymous:
            return {"skip_signature": True}
        if key := told.get("AccountKey") or _first(_KEY):
            return {"account_key": key}
        if signature := told.get("SharedAccessSignature") or _first(_SIGNATURE):
            return {"sas_key": signature.removeprefix("?")}
        if not self.has_credentials() and shutil.which("az"):
            return {"use_azure_cli": True}
        return {}


def _connection() -> dict[str, str]:
    """The connection string that Azure's own tools take, by its names."""
    pairs = (part.partition("=") for part in os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "").split(";"))
    told = {name.strip(): value.strip() for name, separator, value in pairs if separator}
    if "AccountName" in told and "BlobEndpoint" not in told and (suffix := told.get("EndpointSuffix")):
        told["BlobEndpoint"] = f"{told.get('DefaultEndpointsProtocol', 'https')}://{told['AccountName']}.blob.{suffix}"
    return told


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
