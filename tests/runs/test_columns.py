"""Columns: what is declared once comes out in schema, rows, conditions and docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crater_ray.images.picture import Picture
from crater_ray.images.status import UNREADABLE, Refusal
from crater_ray.results.where import parse_where
from crater_ray.runs import columns, part
from crater_ray.runs.columns import COLUMNS, SCHEMA
from crater_ray.scanning.loader import Loaded
from crater_ray.scanning.scorer import Scored, Verdicts
from crater_ray.scanning.shard import Block, ShardWork

DIGEST = "ee0f640b95d1e4d2"  # of the rows below; as version 0.1.0 has it


def work(images: int) -> ShardWork:
    names = [f"k{number}" for number in range(images)]
    manifest = {"key": names, "uri": [f"file:///{name}" for name in names], "size": [1] * images}
    return ShardWork(0, pa.table(manifest))


def loaded(*answers: np.ndarray | Refusal) -> Loaded:
    block = Loaded()
    for answer in answers:
        block.note(answer if isinstance(answer, Refusal) else Picture.of(answer))
    return block


def verdicts(row: list[int], **values: object) -> Scored:
    found = Verdicts.none(len(row))
    for name, some in values.items():
        found.values[name][:] = some
    return Scored(np.asarray(row, np.int32), found.values, 0.0)


def test_rows_are_assembled_by_the_declaration() -> None:
    shard = work(4)
    image = np.zeros((100, 120), np.uint8)
    places = [{"x": 1.0, "y": 2.0, "score": 0.5, "diameter": None}]
    scored = verdicts([2, 0], score=[0.25, 0.75], x=[np.nan, 3], y=[np.nan, 4], stage=["screen", "full"])
    scored.values["places"][1] = places
    first, last = Block(0, 0, 3), Block(0, 3, 4)
    shard.take(first, loaded(image, Refusal(UNREADABLE, "it is empty"), image), scored)
    assert not shard.complete
    shard.take_crash(last, "it kills")
    rows = shard.rows("aaaaaaaaaaaa")
    assert rows.schema == SCHEMA
    known = {
        "key": ["k0", "k1", "k2", "k3"],
        "uri": ["file:///k0", "file:///k1", "file:///k2", "file:///k3"],
        "status": ["ok", "unreadable", "ok", "unreadable"],
        "error": [None, "it is empty", None, "it kills"],
        "height": [100, None, 100, None],
        "width": [120, None, 120, None],
        "score": [0.75, None, 0.25, None],
        "x": [3.0, None, None, None],
        "y": [4.0, None, None, None],
        "bundle": ["aaaaaaaaaaaa"] * 4,
        "stage": ["full", None, "screen", None],
        "diameter": [None] * 4,
        "places": [places, None, None, None],
    }
    rows = rows.select(list(known))  # columns that were added since have tests of their own
    assert rows.to_pydict() == known
    assert part.digest(rows)[:16] == DIGEST


def test_the_first_verdict_on_an_image_stays() -> None:
    shard = work(2)
    images = loaded(*[np.zeros((100, 120), np.uint8)] * 2)
    assert shard.take(Block(0, 0, 2), images, verdicts([1], score=0.5)).tolist() == [1]
    assert shard.take(Block(0, 0, 2), images, verdicts([0, 1], score=0.75)).tolist() == [0]
    assert shard.rows("b")["score"].to_pylist() == [0.75, 0.5]


def test_a_value_without_a_declared_column_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from crater_ray.scanning import loader

    monkeypatch.setattr(loader, "values_of", lambda _: {"status": "ok", "mood": "sunny"})
    with pytest.raises(KeyError, match="mood"):
        Loaded().note(Picture.of(np.zeros((92, 92), np.uint8)))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_keeps_its_values_and_its_nulls(column: columns.Column) -> None:
    some = {"string": "a", "int32": 7, "int64": 7, "float": 0.5, "double": 0.5, "bool": True}
    value: object = some.get(str(column.type))
    if pa.types.is_list(column.type):
        value = [{field.name: None if field.name == "diameter" else 0.5 for field in column.type.value_type}]
    array = column.array(column.held([value, None, value]))
    assert array.type == column.type
    assert array.to_pylist() == [value, None, value]
    assert parse_where(f"{column.name} is null") is not None
    assert not re.search(r"[|\n]", column.meaning), "it would break the table"


def test_the_docs_have_the_table() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "docs.tables", "--check"]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")
    assert columns.as_markdown() in (root / "docs/results.md").read_text(encoding="utf-8")
