"""The examples of docs/results.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.made_runs import make_run, row

TEXT = (Path(__file__).parents[2] / "docs/results.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    code = EXAMPLES[number]
    needed = {name for name in ("pandas", "duckdb", "polars") if f"import {name}" in code or f"to_{name}(" in code}
    for name in needed:
        pytest.importorskip(name, reason=f"{name} is not installed; only this example needs it")
    make_run(tmp_path / "RUN", [row(f"k{number}", number / 10, x=1.0, y=2.0) for number in range(10)])
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/results.md", "exec"), {})
    assert "9" in capsys.readouterr().out


def test_there_is_an_example_each() -> None:
    assert len(EXAMPLES) == 4
    assert all(len(code.strip().splitlines()) <= 12 for code in EXAMPLES)
