"""The README: short, its Python runs as it stands there, its picture is there and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.picture import HEIGHT, LARGEST, PICTURE, WIDTH
from tests.made_runs import make_run, row

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_it_is_short_and_says_first_what_is_missed() -> None:
    lines = TEXT.splitlines()
    assert len(lines) <= 130
    assert any("what it misses" in line for line in lines[:20])


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    make_run(tmp_path / "foils-2026", [row("blank", 0.1), row("crater", 0.995, x=3.0, y=4.0), row("bad", None)])
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "crater" in said and "blank" not in said
    assert "'ok': 2" in said


def test_its_picture_is_a_small_png_of_the_page() -> None:
    assert "](docs/gallery.png)" in TEXT
    assert PICTURE.stat().st_size <= LARGEST
    content = PICTURE.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (WIDTH, HEIGHT)
