"""`open_run`: tables part by part, conditions, and what is said when they cannot be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import crater_ray
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.results.where import DEPTH, parse_where
from crater_ray.runs.columns import SCHEMA
from testbed.local_s3 import PUBLIC, LocalS3
from tests.made_runs import ODD_KEYS, make_run, row

ROWS = [
    row("a", 0.01, x=5.0, y=6.0),
    row("b", 0.5),
    row("c", None),
    row("d", 0.75, x=1.5, y=2.5),
    row("e", 0.0, status="ok"),
    row("f", None, status="missing", error="gone"),
    row("it's", 0.9, bundle="bbbbbbbbbbbb"),
]


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "run"
    make_run(path, ROWS, shard_images=3)
    return path


def keys(table: pa.Table) -> list[str]:
    return table["key"].to_pylist()


def test_it_says_what_the_run_was(run_path: Path) -> None:
    with crater_ray.open_run(run_path) as results:
        assert (results.images, results.threshold, results.bundle) == (7, 0.5, "aaaaaaaaaaaa")
        assert results.complete
        assert results.settings["source"] == "/nowhere"
        assert results.counts() == {"ok": 5, "unreadable": 1, "missing": 1}
        assert results.schema == SCHEMA


def test_rows_come_part_by_part(run_path: Path) -> None:
    with crater_ray.open_run(str(run_path)) as results:
        tables = list(results)
        assert [table.num_rows for table in tables] == [3, 3, 1]
        assert [key for table in tables for key in keys(table)] == [one["key"] for one in ROWS]


def test_unpublished_parts_are_passed_over(tmp_path: Path) -> None:
    make_run(tmp_path / "run", ROWS, shard_images=3, unpublished=1)
    with crater_ray.open_run(tmp_path / "run") as results:
        assert not results.complete
        assert results.images == 7
        assert results.table(["key"]).num_rows == 6


def test_an_altered_part_is_not_believed(tmp_path: Path) -> None:
    make_run(tmp_path / "run", ROWS, shard_images=3)
    target = tmp_path / "run/parts/part-00001.parquet"
    target.write_bytes(target.read_bytes()[:-7])
    with crater_ray.open_run(tmp_path / "run") as results, pytest.raises(CraterRayError, match="part-00001"):
        list(results)


def test_candidates_come_best_first(run_path: Path) -> None:
    with crater_ray.open_run(run_path) as results:
        assert keys(results.candidates()) == ["it's", "d", "b"]
        assert keys(results.candidates(0.01)) == ["it's", "d", "b", "a"]
        assert results.filter("bundle = 'aaaaaaaaaaaa'").candidates(0.6, ["score"]).to_pylist() == [{"score": 0.75}]
        with pytest.raises(UsageError, match="between 0 and 1"):
            results.candidates(1.5)


def test_tables_have_the_asked_columns_even_without_rows(run_path: Path) -> None:
    with crater_ray.open_run(run_path) as results:
        empty = results.table(["score", "key"], "score > 2")
        assert (empty.num_rows, empty.column_names) == (0, ["score", "key"])
        with pytest.raises(UsageError, match="no column 'scor'"):
            results.table(["scor"])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("score >= 0.01", ["a", "b", "d", "it's"]),  # the float32 nearest to 0.01 lies below the float64
        ("score = 0.01", ["a"]),
        ("score < .5", ["a", "e"]),
        ("not score < 0.5", ["b", "d", "it's"]),
        ("score is null", ["c", "f"]),
        ("score IS NOT NULL and x is null", ["b", "e", "it's"]),
        ("status != 'ok'", ["c", "f"]),
        ("status in ('missing', 'unsupported')", ["f"]),
        ("status not in ('missing', 'ok')", ["c"]),
        ("error not in ('gone')", ["c"]),
        ("score in (0.01, 0.75)", ["a", "d"]),
        ("key = 'it''s'", ["it's"]),
        ('key == "it\'s"', ["it's"]),
        ("height in (100, 99.5) and width<>120", []),
        ("height < 100.5 and score>=7.5e-1", ["d", "it's"]),
        ("score >= 0.9 or score <= 0 and status = 'ok'", ["e", "it's"]),
        ("(score >= 0.9 or score <= 0) and bundle = 'aaaaaaaaaaaa'", ["e"]),
        ("score > -1", ["a", "b", "d", "e", "it's"]),
        ("not (score >= 0.5 or status = 'missing')", ["a", "e"]),
    ],
)
def test_conditions(run_path: Path, where: str, expected: list[str]) -> None:
    with crater_ray.open_run(run_path) as results:
        assert keys(results.table(["key"], where)) == expected
        assert keys(results.filter(where).table()) == expected


def test_filters_add_up(run_path: Path) -> None:
    with crater_ray.open_run(run_path) as results:
        both = results.filter("score >= 0.5 or key = 'a'").filter("x is not null")
        assert keys(both.table()) == ["a", "d"]
        assert results.table().num_rows == 7


@pytest.mark.parametrize(
    ("where", "at", "why"),
    [
        ("scor >= 1", 1, "no column 'scor'"),
        ("score >= ", 10, "number"),
        ("score >= 'high'", 10, "number"),
        ("score => 1", 8, "number"),
        ("score ~ 1", 7, "no part of a condition"),
        ("score 1", 7, "expected one of"),
        ("status = ok", 10, "quotes"),
        ("status = 3", 10, "quotes"),
        ("status = 'ok", 10, "closing quote"),
        ("score > 1 score < 2", 11, "'and', 'or' or the end"),
        ("(score > 1", 11, r"'\)'"),
        ("score is 1", 10, "null"),
        ("score in 1", 10, r"'\('"),
        ("", 1, "expected a column"),
        ("  ", 3, "expected a column"),
        ("score > 1; drop", 10, "no part of a condition"),
        ("score > 1a", 9, "no part of a condition"),
        ("__import__('os').system('true')", 17, "no part of a condition"),
        ("not", 4, "expected a column"),
        ("(" * (DEPTH + 2) + "score > 1", DEPTH + 2, "nested"),
        ("not " * 5000 + "score > 1", 4 * (DEPTH + 1) + 1, "nested"),
    ],
)
def test_what_is_wrong_with_a_condition_is_shown(where: str, at: int, why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        parse_where(where)
    lines = str(raised.value).split("\n")
    assert f"character {at}:" in lines[0]
    assert lines[2] == "  " + " " * (at - 1) + "^"
    assert "score" in lines[3] and "bundle" in lines[3]


def test_odd_keys_come_through(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [row(key, 0.6) for key in ODD_KEYS])
    with crater_ray.open_run(tmp_path / "run") as results:
        for key in ODD_KEYS:
            quoted = "'" + key.replace("'", "''") + "'"
            assert keys(results.table(["key"], f"key = {quoted}")) == [key]


def test_a_run_on_s3(s3: LocalS3) -> None:
    from crater_ray.storage.access import Access

    uri = f"s3://{PUBLIC}/results/run"
    make_run(uri, ROWS, access=Access(s3.endpoint_url)).close()
    with crater_ray.open_run(uri, endpoint_url=s3.endpoint_url) as results:
        assert keys(results.candidates()) == ["it's", "d", "b"]


def test_a_place_without_run_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        crater_ray.open_run(tmp_path)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, crater_ray; print(any(n in sys.modules for n in ('pyarrow', 'ray', 'numpy', 'boto3')))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
