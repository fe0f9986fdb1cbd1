"""What became of an image: the words of the column `status`, and the reason why it has no pixels."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
UNREADABLE = "unreadable"
UNSUPPORTED = "unsupported"
MISSING = "missing"
ARCHIVED = "archived"


@dataclass(frozen=True)
class Refusal:
    """Why an image has no pixels.

    Attributes:
        status: `unreadable` (damaged, empty, not an image), `unsupported` (sound, but nothing this network can
            look at), `missing` or `archived` (in cold storage).
        reason: one line for the person who asks.
        height, width: pixels, where they are known.
    """

    status: str
    reason: str
    height: int | None = None
    width: int | None = None


class NotRead(Exception):
    """A file, or a page of it, that has no pixels for us.

    Attributes:
        refusal: what its row says.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def damaged(reason: str) -> NotRead:
    """The file is not whole."""
    return NotRead(Refusal(UNREADABLE, reason))


def unsupported(reason: str) -> NotRead:
    """The file is sound, but its pixels are not read."""
    return NotRead(Refusal(UNSUPPORTED, reason))
