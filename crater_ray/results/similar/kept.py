"""Features of candidates, kept with the run in a file of their own: the parts stay as they are.

RUN/features/<network>-<version>.arrow   a row for each candidate with a place, its features in float16
It is an Arrow file without compression: it is read without being decoded.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa

from crater_ray.engines.features import VERSION
from crater_ray.network.bundle import Bundle
from crater_ray.runs.run import Run

FOLDER = "features/"
COLUMNS = ("key", "uri", "score", "x", "y", "diameter", "page")
"""Columns of the run that stand beside the features: who asks what looks alike need not read the parts."""
FEATURES = "features"
_ABOUT = b"crater_ray"


def file_of(bundle: Bundle) -> str:
    """Where in a run's folder the features by that network are."""
    return f"{FOLDER}{bundle.id}-{VERSION}.arrow"


def read_features(run: Run, bundle: Bundle) -> tuple[pa.Table, dict[str, Any]]:
    """What is kept, best candidate first, and of what: `threshold` and `parts`, how many there were.

    Nothing is there where nothing, or something damaged or another run's, was kept.
    """
    try:
        table = pa.ipc.open_file(run.folder.read(file_of(bundle))).read_all()
        about = json.loads(table.schema.metadata[_ABOUT])
    except (FileNotFoundError, pa.ArrowException, ValueError, KeyError, TypeError):
        return _none(), {}
    if about.get("run_id") != run.id or {*COLUMNS, FEATURES} - set(table.column_names):
        return _none(), {}
    return table, about


def write_features(run: Run, bundle: Bundle, table: pa.Table, threshold: float, parts: int) -> None:
    """Keep features; earlier ones are replaced."""
    about = {"run_id": run.id, "network": bundle.id, "threshold": threshold, "parts": parts}
    file = io.BytesIO()
    table = table.replace_schema_metadata({_ABOUT: json.dumps(about)}).combine_chunks()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    run.folder.publish(file_of(bundle), file.getvalue())


def with_features(rows: pa.Table, features: np.ndarray) -> pa.Table:
    """Rows of a run with their features; (n, d)."""
    wide = features.shape[1]
    flat = pa.array(np.minimum(features, np.finfo(np.float16).max).astype(np.float16).ravel())
    return rows.select(COLUMNS).append_column(FEATURES, pa.FixedSizeListArray.from_arrays(flat, wide))


def matrix(table: pa.Table) -> np.ndarray:
    """(n, d) float16, the features of kept rows."""
    column = table[FEATURES].combine_chunks()
    if not len(column):
        return np.zeros((0, 0), np.float16)
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    return np.asarray(column.flatten().to_numpy()).reshape(len(column), -1)


def _none() -> pa.Table:
    return pa.table({name: pa.nulls(0) for name in (*COLUMNS, FEATURES)})
