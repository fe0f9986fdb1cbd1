"""Fetching: the bytes of many images in order, from whichever stores they are in, or why an image has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing

from crater_ray.images.status import ARCHIVED, MISSING, UNREADABLE, UNSUPPORTED, Refusal
from crater_ray.storage.access import Access
from crater_ray.storage.bulk import Answer
from crater_ray.storage.errors import Archived, StorageError, TooLarge
from crater_ray.storage.registry import store_at

MAX_BYTES = 512 * 1024 * 1024
"""Longer files are refused unread."""

Fetched = bytes | memoryview | Refusal | StorageError


def fetch(
    uris: Sequence[str], access: Access, sizes: Sequence[int | None] | None = None, last_try: bool = False
) -> Iterator[Fetched]:
    """The images' bytes in order; each store fetches ahead while the caller works on earlier ones.

    Args:
        uris: where the images are.
        access: how to reach object storage.
        sizes: in bytes, as listed; see `crater_ray.storage.base.Store.get_many`.
        last_try: believe another length than listed, if it stays: the object was replaced since.

    Returns:
        For each image its bytes, a `Refusal` for its row, or a `StorageError` that says nothing about the image.
    """
    by_scheme: dict[str, list[int]] = defaultdict(list)
    for i, uri in enumerate(uris):
        by_scheme[uri.partition("://")[0]].append(i)
    listed = sizes or [None] * len(uris)
    answers: dict[str, Generator[Answer, None, None]] = {}
    with ExitStack() as stack:
        for scheme, some in by_scheme.items():
            store = store_at(uris[some[0]], access)
            answers[scheme] = store.get_many([uris[i] for i in some], [listed[i] for i in some], MAX_BYTES, last_try)
            stack.enter_context(closing(answers[scheme]))
        for uri in uris:
            yield _verdict(next(answers[uri.partition("://")[0]]))


def any_there(uris: Sequence[str], access: Access) -> bool:
    """Whether any of these objects is there, as far as storage says; asks until one is. Their bytes are not read."""
    for scheme in dict.fromkeys(uri.partition("://")[0] for uri in uris):
        some = [uri for uri in uris if uri.startswith(f"{scheme}://")]
        with closing(store_at(some[0], access).get_many(some, [None] * len(some), 0)) as answers:
            if any(not isinstance(answer, FileNotFoundError) for answer in answers):
                return True
    return not uris


def _verdict(answer: Answer) -> Fetched:
    match answer:
        case bytes() | memoryview() | StorageError():
            return answer
        case FileNotFoundError():
            return Refusal(MISSING, str(answer))
        case Archived():
            return Refusal(ARCHIVED, str(answer))
        case TooLarge():
            return Refusal(UNSUPPORTED, f"{answer.size:,} bytes: more than {MAX_BYTES:,} are refused")
        case MemoryError():
            return Refusal(UNSUPPORTED, "reading it needs more memory than there is")
        case _:
            return Refusal(UNREADABLE, str(answer))
