"""Which store an address belongs to. A further store is a file beside this one, and a line in `STORES`."""

from __future__ import annotations

import re

from crater_ray.errors import UsageError
from crater_ray.storage.access import Access
from crater_ray.storage.azure import AzureStore
from crater_ray.storage.base import Store
from crater_ray.storage.google import GoogleStore
from crater_ray.storage.local import LocalStore
from crater_ray.storage.s3 import S3Store
from crater_ray.storage.web import HttpsStore, HttpStore

STORES: dict[str, type[Store]] = {
    store.scheme: store for store in (LocalStore, S3Store, GoogleStore, AzureStore, HttpStore, HttpsStore)
}
"""By scheme."""


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def store_at(address: str, access: Access | None = None) -> Store:
    """The store that an address belongs to; a path without a scheme is a local one's.

    Raises:
        UsageError: there is no store of this scheme.
    """
    scheme = _SCHEME.match(address)
    store = STORES.get(scheme[1] if scheme else LocalStore.scheme)
    if store is None:
        raise UsageError(f"An address must be {examples()}; received: {address!r}")
    return store(access or Access())


def is_absolute(address: str) -> bool:
    """Whether an address says by itself where it is: a local path from the root on, or one with a store's scheme."""
    if "://" in address and (scheme := _SCHEME.match(address)):
        return scheme[1] in STORES
    return address.startswith("/")


def examples(folders: bool = False) -> str:
    """What an address may look like, for messages: `a local path or s3://bucket/prefix`; `folders`, one of a folder."""
    *several, last = (store.example for store in STORES.values() if store.folders or not folders)
    return f"{', '.join(several)} or {last}"
