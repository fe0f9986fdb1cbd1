"""Key lists that are tables: the column of images is found where it is unmistakable, and asked for where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crater_ray.errors import UsageError
from crater_ray.images.key_list import read_key_list
from crater_ray.storage.access import Access
from tests.conftest import Cli, make_images

TABLES = {
    "semicolons": "FileName;Prediction\nfm_1/a.jpg;0,93\nfm_2/b.jpg;0,1\n",
    "tabs": "conf\tfilepath\n6\tfm_1/a.jpg\n7\tfm_2/b.jpg\n",
    "bars": "id|Path\n1|fm_1/a.jpg\n2|fm_2/b.jpg\n",
    "filepath": "filepath,label\nfm_1/a.jpg,0\nfm_2/b.jpg,1\n",
    "image_path": "label,image_path\n0,fm_1/a.jpg\n1,fm_2/b.jpg\n",
    "Filename": "Filename\nfm_1/a.jpg\nfm_2/b.jpg\n",
    "Image Path": 'n,"Image Path"\n1,"fm_1/a.jpg"\n2,"fm_2/b.jpg"\n',
    "S3 URI before key": "key,S3-URI\nx,fm_1/a.jpg\ny,fm_2/b.jpg\n",
    "unknown name, images alone": "Bild,Note\nfm_1/a.jpg,good\nfm_2/b.jpg,bad\n",
    "no header": "0.93,fm_1/a.jpg\n0.10,fm_2/b.jpg\n",
    "no header, decimal commas": "0,93;fm_1/a.jpg\n0,10;fm_2/b.jpg\n",
    "no header, one row of a column": "fm_1/a.jpg\nfm_2/b.jpg\n",
    "first line of a spreadsheet": "sep=;\r\nDatei;Wert\r\nfm_1/a.jpg;1\r\nfm_2/b.jpg;2\r\n",
    "quoted line breaks": 'note,file\n"two\nlines",fm_1/a.jpg\n"",fm_2/b.jpg\n',
}
IMAGES = ["fm_1/a.jpg", "fm_2/b.jpg"]


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unmistakable_columns_are_found(name: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(TABLES[name].encode(encoding))
    found = read_key_list(str(tmp_path / "list.csv"), Access())
    assert found.entries == IMAGES
    assert not found.passed_over


def test_text_lists_that_are_tables(tmp_path: Path) -> None:
    for name in ("semicolons", "tabs", "filepath", "Filename"):
        (tmp_path / "list.txt").write_text(TABLES[name])
        assert read_key_list(str(tmp_path / "list.txt"), Access()).entries == IMAGES
    (tmp_path / "list.tsv").write_text(TABLES["tabs"])
    assert read_key_list(str(tmp_path / "list.tsv"), Access()).entries == IMAGES


MISTAKABLE = {
    "several columns of images": "before,after\na.jpg,b.jpg\nc.jpg,d.jpg\n",
    "keys of no known kind": "name,score\nalpha,1\nbeta,2\n",
    "one column of no known name": "pictures\nalpha\nbeta\n",
    "some images alone": "what,score\na.jpg,1\nnotes,2\n",
}


@pytest.mark.parametrize("name", MISTAKABLE)
def test_others_are_refused_with_what_there_is_until_the_column_is_named(name: str, tmp_path: Path) -> None:
    text = MISTAKABLE[name]
    (tmp_path / "list.csv").write_text(text)
    header = text.partition("\n")[0].split(",")
    with pytest.raises(UsageError, match="--column") as caught:
        read_key_list(str(tmp_path / "list.csv"), Access())
    assert ", ".join(map(repr, header)) in str(caught.value)
    assert "\n" not in str(caught.value)
    rows = [line.split(",") for line in text.splitlines()]
    for column in (header[-1], header[-1].upper(), str(len(header))):
        first = 0 if column.isdecimal() else 1
        found = read_key_list(str(tmp_path / "list.csv"), Access(), column)
        assert found.entries == [row[-1] for row in rows[first:]]
    with pytest.raises(UsageError, match=r"no column 'no such'.*--column NAME"):
        read_key_list(str(tmp_path / "list.csv"), Access(), "no such")
    with pytest.raises(UsageError, match="no column '9'"):
        read_key_list(str(tmp_path / "list.csv"), Access(), "9")


def test_rows_without_an_entry_are_counted(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("label,path\n1,a.jpg\n\n2\n3,\n4,b.jpg,more\n")
    found = read_key_list(str(tmp_path / "list.csv"), Access())
    assert found.entries == ["a.jpg", "b.jpg"]
    assert found.passed_over == {"(rows without an entry)": 2}


def parquet(folder: Path, columns: dict[str, Any]) -> str:
    pq.write_table(pa.table(columns), folder / "list.parquet")
    return str(folder / "list.parquet")


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int8(), "utf8"),
    ],
    ids=str,
)
def test_parquet_lists_of_every_kind_of_text(kind: pa.DataType, tmp_path: Path) -> None:
    views = (pa.string_view(), pa.binary_view())
    values = pa.array([*IMAGES, None], kind) if kind in views else pa.array([*IMAGES, None]).cast(kind)
    found = read_key_list(parquet(tmp_path, {"n": [1, 2, 3], "path": values}), Access())
    assert found.entries == IMAGES
    assert found.passed_over == {"(rows without an entry)": 1}


def test_parquet_lists_by_name_and_by_content(tmp_path: Path) -> None:
    for name in ("filepath", "Image Path", "Bild"):
        assert read_key_list(parquet(tmp_path, {"note": ["x", "y"], name: IMAGES}), Access()).entries == IMAGES
    two = parquet(tmp_path, {"before": IMAGES, "after": ["c.jpg", "d.jpg"]})
    with pytest.raises(UsageError, match=r"Its columns: 'before', 'after'\. Name one with --column"):
        read_key_list(two, Access())
    for column in ("after", "2"):
        assert read_key_list(two, Access(), column).entries == ["c.jpg", "d.jpg"]


def test_comments_are_told_from_files_whose_names_begin_alike(tmp_path: Path) -> None:
    lines = ["# chosen by eye", "#4 tray.png", "#fm_1", "a.jpg", "#", "#5/x.TIF", "  # of 6.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = read_key_list(str(tmp_path / "list.txt"), Access())
    assert found.entries == ["#4 tray.png", "a.jpg", "#5/x.TIF"]
    assert found.passed_over == {"(comment lines)": 4}


def test_a_scan_of_a_list_names_its_column_and_says_what_was_passed_over(
    shared_ray: None, tmp_path: Path, cli: Cli
) -> None:
    keys = make_images(tmp_path / "images", 3)
    text = "before,after\n" + "".join(f"x.jpg,{key}/{key}-001.jpg\n" for key in keys) + "x.jpg,\n"
    (tmp_path / "images" / "list.csv").write_text(text)
    words = ("scan", tmp_path / "images" / "list.csv", "--out", tmp_path / "run", "--engine", "stand-in")
    refused = cli(*words)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "run" / "manifest.parquet").exists()
    answer = cli(*words, "--column", "after")
    assert answer.returncode == 0, answer.stderr
    assert "3 ok" in answer.stderr
    verified = cli("verify", tmp_path / "run")
    assert verified.returncode == 0
    assert "1 passed over: 1 (rows without an entry)" in verified.stdout
    assert cli(*words, "--column", "after").returncode == 0
    assert "column: the run has 'after'" in cli(*words, "--column", "before").stderr


LOST = {
    "wrong base": ("fm_1\nfm_2\n", ("--base", "/nowhere")),
    "headers of nothing": ("a/x.jpg\nb/y.jpg\n", ()),
    "another column": ("before,after\nx.jpg,y.jpg\n", ("--column", "before")),
    "another machine": ("/mnt/archive/x.png\n/mnt/archive/y.png\n", ()),
}


@pytest.mark.parametrize("name", LOST)
def test_a_list_whose_entries_are_all_missing_stops_the_scan(name: str, tmp_path: Path, cli: Cli) -> None:
    text, options = LOST[name]
    (tmp_path / "list.csv").write_text(text)
    answer = cli("scan", tmp_path / "list.csv", "--out", tmp_path / "run", "--engine", "stand-in", *options)
    assert answer.returncode == 2
    lines = [line for line in answer.stderr.splitlines() if line]
    assert len(lines) == 1
    assert "None of the first" in lines[0]
    assert "--base" in lines[0]
    assert "--column" in lines[0]
    assert not (tmp_path / "run" / "manifest.parquet").exists()
