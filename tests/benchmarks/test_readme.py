"""The tables of the pages hold what the JSON holds, and go where they belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.app import app
from benchmarks.headlines import headlines
from benchmarks.readme import BEGIN, END, readme, render
from benchmarks.record import Record, read, spread
from benchmarks.rows import RENDERERS
from crater_ray.errors import UsageError


def written(folder: Path, benchmark: str, figures: dict[str, Any], **settings: Any) -> Path:
    record = Record(benchmark, settings, {"height": 384, "width": 512})
    record.figures = figures
    record.write(folder / f"{benchmark}.json")
    return folder / f"{benchmark}.json"


def test_table_replaces_what_was_between_the_marks(tmp_path: Path) -> None:
    manifest = {"total_seconds": spread([3.0, 2.0, 9.0]), "peak_mib": spread([700.0])}
    records = [
        written(tmp_path, "manifest", manifest, keys=2_000_000),
        written(tmp_path, "kills", {"kills": 10, "rows": 1_000, "parts_redone": 0, "parts": 50}, images=1_000),
    ]
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    readme(records, into=page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| manifest of 2,000,000 keys, seconds | 3.0 | 2.0-9.0 |" in text
    assert "`python -m benchmarks manifest`, 20" in text
    assert "killed 10 times" in text
    assert text.count("| measured |") == 2
    assert text.count("\n### ") == 1


def test_the_table_names_the_command_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["benchmarks", "manifest", "--keys", "5", "--json", f"{tmp_path}/m.json", "--bundle", f"{tmp_path}/my net"]
    monkeypatch.setattr("sys.argv", given)
    figures = {"total_seconds": spread([3.0]), "peak_mib": spread([700.0])}
    text = render([read(written(tmp_path, "manifest", figures, keys=5))])
    assert "`python -m benchmarks manifest --keys 5 --bundle 'my net'`" in text
    assert str(tmp_path) not in text


def test_every_measuring_command_has_its_rows() -> None:
    named = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}  # type: ignore[union-attr]
    assert named - {"readme"} == set(RENDERERS)


def test_a_page_without_marks_and_other_json_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("nothing here\n")
    good = written(tmp_path, "memory", {"runs": [{"images": 5, "peak_mib": 180.2}]})
    with pytest.raises(UsageError, match="must hold the lines"):
        readme([good], into=page)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"some": "thing"}))
    with pytest.raises(UsageError, match="not a benchmark"):
        readme([other])


def test_the_pages_of_the_project_show_the_measurements_that_are_kept_with_it() -> None:
    root = Path(__file__).parents[2]
    kept = [read(path) for path in sorted((root / "benchmarks" / "results").glob("*.json"))]
    assert f"{BEGIN}\n{render(kept)}\n{END}" in (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    few = headlines(kept)
    assert f"{BEGIN}\n{few}\n{END}" in (root / "README.md").read_text(encoding="utf-8")
    assert 3 <= few.count("\n") - 1 <= 6


def test_no_page_shows_a_commit(tmp_path: Path) -> None:
    record = read(written(tmp_path, "manifest", {"total_seconds": spread([3.0]), "peak_mib": spread([7.0])}, keys=5))
    record["environment"]["commit"] = "0123456789abcdef"
    assert "0123456" not in render([record])
