"""The text files that some microscopes put beside their images: where they would be, and what is in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from crater_ray.images.bounds import MAX_TEXT
from crater_ray.images.fetch import fetch
from crater_ray.images.tags import in_words
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

SUFFIXES = (".txt", ".hdr")
"""`a.txt` beside `a.tif` (Hitachi, JEOL), `a-tif.hdr` (TESCAN)."""


def suffixes_in(passed_over: Collection[str]) -> tuple[str, ...]:
    """Which sidecars an archive may have, by the suffixes of the files in it that are no images."""
    return tuple(suffix for suffix in SUFFIXES if suffix in passed_over)


def sidecar_of(uri: str, suffix: str) -> str:
    """Where an image's sidecar would be."""
    stem, dot, kind = uri.rpartition(".")
    return f"{stem}-{kind}{suffix}" if dot and suffix == ".hdr" else f"{stem if dot else uri}{suffix}"


def read_sidecars(
    uris: Sequence[str], suffixes: Sequence[str], access: Access, last_try: bool = False
) -> Iterator[str | None]:
    """What stands in the sidecars of images, in order; None for an image without one.

    Args:
        uris: where the images are.
        suffixes: which sidecars there may be; nothing is asked of storage for none.
        access: how to reach object storage.
        last_try: take a sidecar that storage fails to give for none.

    Raises:
        StorageError: storage failed in a way that says nothing about the sidecar.
    """
    answers = [fetch([sidecar_of(uri, suffix) for uri in uris], access, last_try=last_try) for suffix in suffixes]
    for _ in uris:
        texts = []
        for some in answers:
            found = next(some)
            if isinstance(found, StorageError) and not last_try:
                raise found
            if isinstance(found, bytes | memoryview) and len(found) <= MAX_TEXT:
                texts.append(in_words(bytes(found)))
        yield "\n".join(texts) or None
