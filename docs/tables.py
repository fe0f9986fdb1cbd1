"""Tables that the docs take from the code: `python -m docs.tables` writes them anew, `--check` only looks.

A table stands between two markers, `<!-- table: NAME -->` and `<!-- end of NAME -->`; what is between them is replaced.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from crater_ray.engines import registry
from crater_ray.runs import columns

ROOT = Path(__file__).parents[1]
TABLES = {"columns": columns.as_markdown, "engines": registry.as_markdown}
"""By the name in the markers, what makes it."""

_MARKED = re.compile(r"(?s)(<!-- table: (\w+) -->\n).*?(<!-- end of \2 -->)")


def filled(text: str) -> str:
    """A page with its tables as the code has them."""
    return _MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main() -> int:
    """Write the tables of README.md and docs/*.md, or say which pages are out of date."""
    parser = argparse.ArgumentParser(description="Write the tables that the docs take from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    check = parser.parse_args().check
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        if filled(text) != text:
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(filled(text), encoding="utf-8")
    for page in stale:
        print(f"{page}: {'out of date; run `make docs`' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
