"""What the source of a run holds besides the run's images: files passed over, and what a selection left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def passed_over(ignored: Mapping[str, int]) -> str:
    """Files that are no images, counted, for people: `12 passed over: 10 .txt, 2 (none)`; empty if there are none."""
    if not ignored:
        return ""
    each = ", ".join(f"{n:,} {kind}" for kind, n in sorted(ignored.items(), key=lambda item: (-item[1], item[0])))
    return f"{sum(ignored.values()):,} passed over: {each}"


def left_out(record: Mapping[str, Any]) -> list[str]:
    """One line for each kind of thing that was under the source, but has no row.

    Args:
        record: the content of run.json.
    """
    settings, listing = record["settings"], record.get("listing")
    notes = []
    for name, text in (("limit", "only the first {:,} images were taken"), ("sample", "only {:,} images at random")):
        if isinstance(settings.get(name), int):
            notes.append(f"{text.format(settings[name])} (--{name})")
    if any(settings.get(name) for name in ("where", "keys", "statuses", "of_these")):
        notes.append("only images chosen from an earlier run")
    if isinstance(listing, dict):
        ignored, repeated = listing.get("ignored_files"), listing.get("repeated_entries")
        if isinstance(ignored, dict) and all(isinstance(count, int) for count in ignored.values()):
            notes.append(passed_over(ignored))
        if isinstance(repeated, int) and repeated:
            notes.append(f"{repeated:,} repeated entries taken once")
    return [note for note in notes if note]
