"""The page of the architecture is true of the code: an image's path leads from file to file, and none is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATH = re.findall(r"^\| (\d+) \| `([^`]+)` \|", TEXT, re.MULTILINE)


def imported_by(file: str) -> set[str]:
    """The files of the package that a file imports, within its functions too."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {f"{module.replace('.', '/')}.py" for module in found}


def test_one_image_takes_at_most_twelve_files_each_reached_from_one_before() -> None:
    files = [file for _, file in PATH]
    assert [int(number) for number, _ in PATH] == list(range(1, len(PATH) + 1))
    assert 10 <= len(files) <= 12
    [between] = re.findall(r"only hands the image on: (.*?)\n\n", TEXT, re.DOTALL)
    hand_on = [name if "/" in name else f"crater_ray/scanning/{name}" for name in re.findall(r"`(\S+\.py)`", between)]
    reached = {files[0]}
    for number, file in enumerate(files[1:], start=1):
        reached |= imported_by(files[number - 1])
        reached |= {other for one in hand_on if one in reached for other in imported_by(one)}
        assert file in reached, f"{file} is not reached from the files before it"


def test_every_file_of_the_scan_is_named() -> None:
    for path in (ROOT / "crater_ray/scanning").glob("[a-z]*.py"):
        assert f"`{path.name}`" in TEXT or f"/{path.name}`" in TEXT, path.name
