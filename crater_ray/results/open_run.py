"""The results of a run, as Arrow tables, part by part: the way in for scripts and for every command that reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.results.where import parse_where
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.run import Run, open_existing
from crater_ray.storage.access import Access


def open_run(path: str | Path, endpoint_url: str | None = None, anonymous: bool = False) -> Results:
    """Open a run for reading.

        with crater_ray.open_run("RUN") as results:
            best = results.filter("score >= 0.5").table(["key", "score", "x", "y"])

    Args:
        path: the run folder: a local path or `s3://bucket/prefix`.
        endpoint_url: for runs on an S3-compatible service other than Amazon's.
        anonymous: read it without credentials.

    Raises:
        UsageError: there is no run.
    """
    return Results(open_existing(path, Access(endpoint_url, anonymous)))


class Results:
    """What a run found. Reads one part at a time, checks each part's digest, and keeps nothing.

    Args:
        run: the run; parts that are not published yet are passed over.
        where: only rows for which this condition holds; see `crater_ray.results.where`.
    """

    def __init__(self, run: Run, where: str | None = None) -> None:
        self.run = run
        self._where = where
        self._expression = None if where is None else parse_where(where)

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        chosen = f" where {self._where}" if self._where else ""
        return f"<Results {self.run.folder.uri}: bundle {self.bundle}, threshold {self.threshold:g}{chosen}>"

    def close(self) -> None:
        """Give back what was opened (a local copy of a remote manifest)."""
        self.run.close()

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json."""
        return self.run.record

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decided which rows there are."""
        return dict(self.run.record["settings"])

    @property
    def bundle(self) -> str:
        """Short id of the network's weights."""
        return str(self.run.record["settings"]["bundle"])

    @property
    def threshold(self) -> float:
        """The score from which the run calls an image a candidate."""
        return self.run.threshold

    @property
    def images(self) -> int:
        """Images of the manifest, scanned or not yet, whatever the condition."""
        return self.run.manifest.images

    @property
    def complete(self) -> bool:
        """Whether every image has its row."""
        return self.run.success() is not None

    @property
    def schema(self) -> pa.Schema:
        """The columns of a row; docs/results.md says what they mean."""
        return SCHEMA

    def filter(self, where: str) -> Results:
        """Results of the same run with only the rows for which a condition (also) holds.

        Raises:
            UsageError: the condition cannot be read.
        """
        parse_where(where)
        return Results(self.run, where if self._where is None else f"({self._where}) and ({where})")

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, one table per part, in order of key.

        Args:
            columns: which ones; all when None.

        Raises:
            UsageError: there is no such column.
            DamagedPart: a part is not whole.
        """
        names = self._columns(columns)
        for rows in self.run.parts():
            chosen = rows if self._expression is None else rows.filter(self._expression)
            yield chosen.select(names)

    def __iter__(self) -> Iterator[pa.Table]:
        return self.parts()

    def table(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """All rows that are wanted, in one table; memory grows with these only.

        Args:
            columns: which ones; all when None.
            where: only rows for which this condition (also) holds.
        """
        if where is not None:
            return self.filter(where).table(columns)
        names = self._columns(columns)
        found = list(self.parts(names))
        return pa.concat_tables([pa.schema([SCHEMA.field(name) for name in names]).empty_table(), *found])

    def candidates(self, threshold: float | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows at or above a score, best first.

        Args:
            threshold: the run's own when None.
            columns: which ones; all when None.
        """
        cut = self.threshold if threshold is None else threshold
        if not 0.0 <= cut <= 1.0:
            raise UsageError(f"The threshold must lie between 0 and 1; received: {cut}")
        names = self._columns(columns)
        least = pa.scalar(cut, pa.float32())
        found = [rows.filter(pc.greater_equal(rows["score"], least)) for rows in self.parts()]
        table = pa.concat_tables([SCHEMA.empty_table(), *found])
        return table.sort_by([("score", "descending"), ("key", "ascending")]).select(names)

    def counts(self) -> Counter[str]:
        """How many rows have which status."""
        counts: Counter[str] = Counter()
        for rows in self.parts(["status"]):
            for entry in rows["status"].value_counts().to_pylist():
                counts[entry["values"]] += entry["counts"]
        return counts

    def _columns(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(SCHEMA.names)
        unknown = [name for name in columns if name not in SCHEMA.names]
        if unknown:
            raise UsageError(f"There is no column {', '.join(map(repr, unknown))}. Columns: {', '.join(SCHEMA.names)}")
        return list(columns)
