"""Check that what the documentation names is there: files, links, commands with their options, targets of make."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from crater_ray.errors import not_installed
from docs.commands import ROOMS, ROOT, commands, problems, unknown_options

PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "cluster/README.md")
ENDINGS = (".py", ".md", ".toml", ".lock", ".yaml", ".sh", ".cff", "Makefile", "Dockerfile")
"""A name that ends so is a file of the project; other names may be files of those who use it."""
RUN_FOLDERS = {"completeness/", "features/", "gold/", "parts/", "reviews/"}
"""Folders of a run."""
SHELL = ("", "bash", "sh", "console")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

Problem = tuple[int, str]
"""Line of the page, and what is wrong there."""


def check(page: Path) -> list[Problem]:
    """What a page names that is not there.

    Args:
        page: a Markdown file; its links count from its folder, its paths from the root of the project or its folder.
    """
    text = page.read_text(encoding="utf-8")
    return sorted({(text.count("\n", 0, at) + 1, what) for at, what in _found(page, text)})


def _found(page: Path, text: str) -> Iterator[tuple[int, str]]:
    variables: dict[str, str] = {}
    for block in BLOCK.finditer(text):
        if block[1] in SHELL:
            for at, words in commands(block[2], variables):
                yield from ((block.start(2) + at, what) for what in problems(words))
        for name in re.finditer(r"[\w./-]*\w\.py\b", block[2] if block[1] in SHELL else ""):
            yield from ((block.start(2) + name.start(), what) for what in _missing_file(name[0], page))
    prose = BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)
    for span in SPAN.finditer(prose):
        yield from ((span.start(), what) for what in _wrong_span(" ".join(span[1].split()), page, variables))
    for link in LINK.finditer(SPAN.sub(lambda span: " " * len(span[0]), prose)):
        yield from ((link.start(), what) for what in _broken_link(link[1], page))


def _wrong_span(span: str, page: Path, variables: dict[str, str]) -> Iterator[str]:
    first, *more = span.split()
    if first.startswith("--"):
        yield from unknown_options([first, *more])
    elif more or first in ("make", "crater-ray"):
        for _, words in commands(span, dict(variables)):
            yield from problems(words)
    elif re.fullmatch(rf"({'|'.join(ROOMS)})(\.\w+)+(\(\))?", first) and not first.endswith(ENDINGS):
        yield from _missing_name(first.removesuffix("()"))
    elif not re.search(r"[<>$~]|\.\.\.|://|^/", first):
        yield from _missing_file(first, page)


def _missing_file(name: str, page: Path) -> Iterator[str]:
    path, _, test = name.partition("::")
    if path.startswith("/"):
        return
    if any(ROOT.glob(path)) or any(page.parent.glob(path)):
        if test and f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"):
            yield f"{path} has no {test}"
        return
    in_a_room = path.split("/")[0] in ROOMS
    if not in_a_room and any(f"/{known}".endswith(f"/{path}") for known in _files()):
        return
    folder = re.fullmatch(r"[\w-]+(/[\w-]+)*/", path) and path not in RUN_FOLDERS
    if in_a_room or folder or path.endswith(ENDINGS):
        yield f"there is no {name}"


@functools.cache
def _files() -> tuple[str, ...]:
    """Every file and folder of the rooms, folders with a slash at the end."""
    return tuple(
        f"{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}" for room in ROOMS for path in (ROOT / room).rglob("*")
    )


def _missing_name(name: str) -> Iterator[str]:
    """A module of the project, or what a module holds."""
    module = name
    while importlib.util.find_spec(module) is None:
        module = module.rpartition(".")[0]
    held: object = importlib.import_module(module) if module != name else None
    for part in name.removeprefix(module).split(".")[1:]:
        if not hasattr(held, part):
            yield f"there is no {name}"
            return
        held = getattr(held, part)


def _broken_link(target: str, page: Path) -> Iterator[str]:
    if re.match(r"[a-z]+:", target):
        return
    path, _, anchor = target.partition("#")
    linked = page.parent / path if path else page
    if not linked.exists():
        yield f"the link {target} leads nowhere"
    elif anchor and anchor not in _anchors(linked):
        yield f"{linked.name} has no heading for #{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> None:
    """Check all pages; exit 1 if one names what is not there."""
    pages = [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))]
    wrong = [f"{page.relative_to(ROOT)}:{line}: {what}" for page in pages for line, what in check(page)]
    for line in wrong:
        print(line)
    print(f"{len(pages)} pages: {f'{len(wrong)} problems' if wrong else 'what they name is there'}.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as missing:
        sys.exit(str(not_installed(missing)))
