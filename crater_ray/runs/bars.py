"""The information bars of a run: how many of its images have one that was left out, how high, and what told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa


class Bars:
    """Counts bars.

    Attributes:
        images: that were looked at.
        rows: how many of them have a bar of so many rows.
        told: how many bars were known from where; see the column `bar_from`.
    """

    def __init__(self) -> None:
        self.images = 0
        self.rows: Counter[int] = Counter()
        self.told: Counter[str] = Counter()

    def add(self, part: pa.Table) -> None:
        """Count the rows of a part."""
        self.note(part["status"].to_pylist(), part["bar"].to_pylist(), part["bar_from"].to_pylist())

    def note(self, status: Iterable[str], bar: Iterable[int | None], bar_from: Iterable[str | None]) -> None:
        """Count images by the values of these columns."""
        for what, rows, source in zip(status, bar, bar_from, strict=True):
            self.images += what == "ok"
            if rows:
                self.rows[rows] += 1
                self.told[source or ""] += 1

    def __bool__(self) -> bool:
        return bool(self.rows)

    def record(self) -> dict[str, Any]:
        """What run.json keeps of them."""
        return {
            "images": self.rows.total(),
            "of": self.images,
            "rows": {str(rows): count for rows, count in self.rows.most_common(20)},
            "told_by": dict(self.told),
        }

    def text(self) -> str:
        """The same in words."""
        common = [f"{rows} rows ({count:,})" for rows, count in self.rows.most_common(3)]
        more = " and others" if len(self.rows) > len(common) else ""
        heights = common[0].partition(" (")[0] if len(self.rows) == 1 else ", ".join(common) + more
        told = ", ".join(f"{count:,} by the {source}" for source, count in sorted(self.told.items()))
        return f"{self.rows.total():,} of {self.images:,} images have an information bar, left out: {heights}; {told}"
