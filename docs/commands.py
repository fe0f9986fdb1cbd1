"""The project's commands as the documentation writes them, held against the programs themselves."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parents[1]
ROOMS = ("crater_ray", "training", "benchmarks", "testbed", "cluster", "tests", "docs")
"""Folders of the project that hold code or text."""
PROGRAMS = ("crater-ray", "python -m training", "python -m benchmarks")
FOREIGN = {"--build-arg", "--no-deps", "--stop", "--target", "--volume"}
"""Options of other programs that the documentation names by themselves."""
HELP = {"-h", "--help"}
WRITTEN = {"--json", "--into", "--out"}
"""Options whose value is a file that the command makes."""
SHELL_WORDS = {"$", "do", "else", "exec", "nice", "sudo", "then"}
"""Words before a command."""
PLACEHOLDER = re.compile(r"\.\.\.|…|[A-Z_]+|<.*>|\[.*")


def commands(text: str, variables: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Split shell text into commands: where each begins, in characters, and its words.

    Args:
        text: one or more lines. Lines that end in a backslash go on; comments are left out.
        variables: what `$NAME` stands for; assignments in the text are added.
    """
    for line in re.finditer(r"(?:\\\n|.)+", text):
        for written in _split(_expand(line[0].replace("\\\n", " "), variables)):
            words = _bare(written, variables)
            if words:
                yield line.start(), words
            for word in words[1:]:
                if re.search(r"(crater-ray|python -m) ", word):  # a command within a command
                    yield from ((line.start(), inner) for _, inner in commands(word, variables))


def problems(words: list[str]) -> Iterator[str]:
    """What a command names that is not there."""
    program, *rest = words
    name = Path(program).name
    if name == "crater-ray":
        yield from _unknown("crater-ray", rest)
    elif re.fullmatch(r"python[\d.]*", name) and rest[:1] == ["-m"] and len(rest) > 1:
        module = f"python -m {rest[1]}"
        if module in PROGRAMS:
            yield from _unknown(module, rest[2:])
        elif rest[1].split(".")[0] in ROOMS and importlib.util.find_spec(rest[1]) is None:
            yield f"there is no module {rest[1]}"
    elif name == "make":
        yield from (
            f"the Makefile has no target {word!r}"
            for word in rest
            if not word.startswith("-") and "=" not in word and word not in targets()
        )
    for before, word in zip(words, rest, strict=False):
        if before not in WRITTEN and word.split("/")[0] in ROOMS and "/" in word and not any(ROOT.glob(word)):
            yield f"there is no {word}"


def unknown_options(words: list[str]) -> Iterator[str]:
    """Options, named without their command, that no command of the project has."""
    for word in words:
        name = word.split("=")[0]
        if re.fullmatch(r"--[a-z][\w-]*", name) and name not in all_options() | FOREIGN:
            yield f"no command has the option {name}"


def _unknown(program: str, words: list[str]) -> Iterator[str]:
    command = tree(program)
    said = program
    while below := _below(command):
        words = list(itertools.dropwhile(lambda word: word.startswith("-"), words))
        if not words or PLACEHOLDER.fullmatch(words[0]):
            break
        if words[0] not in below:
            yield f"`{said}` has no command {words[0]!r}"
            return
        command, said, words = below[words[0]], f"{said} {words[0]}", words[1:]
    for word in words:
        name = word.split("=")[0]
        if re.fullmatch(r"-[a-zA-Z]|--[a-z][\w-]*", name) and name not in _options(command) | HELP:
            yield f"`{said}` has no option {name}"


@functools.cache
def tree(program: str) -> Any:
    """The commands and options of one of PROGRAMS."""
    if program == "crater-ray":
        from crater_ray.cli.app import app
    elif program == "python -m training":
        from training.__main__ import app
    else:
        from benchmarks.app import app
    return typer.main.get_command(app)


@functools.cache
def all_options() -> set[str]:
    """Options of every command of every program."""
    return set().union(*(_all_options(tree(program)) for program in PROGRAMS)) | HELP


@functools.cache
def targets() -> set[str]:
    """What `make` can make."""
    return set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _all_options(command: Any) -> set[str]:
    return _options(command).union(*(_all_options(one) for one in _below(command).values()))


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def _below(command: Any) -> dict[str, Any]:
    """The commands of a group, by name; a command that is no group has none."""
    return getattr(command, "commands", {})


def _bare(words: list[str], variables: dict[str, str]) -> list[str]:
    """A command without what stands before it; an assignment that stands alone is kept in `variables`."""
    for position, word in enumerate(words):
        assigned = re.fullmatch(r"(\w+)=(.*)", word, re.DOTALL)
        if assigned and len(words) == 1:
            variables[assigned[1]] = assigned[2]
        if not assigned and word not in SHELL_WORDS:
            return words[position:]
    return []


def _expand(line: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], found[0]), line)


def _split(line: str) -> Iterator[list[str]]:
    """The words of each command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|()"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that is not closed: no shell text
        words = line.split()
    yield words
