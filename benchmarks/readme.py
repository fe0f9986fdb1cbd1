"""The tables of docs/benchmarks.md and the README's few rows, made from the JSON of measurements alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.headlines import headlines
from benchmarks.record import read
from benchmarks.rows import RENDERERS
from crater_ray.errors import UsageError

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SPREAD = "Medians; spread is the lowest and the highest of all repeats."


def readme(
    records: Annotated[list[Path], typer.Argument(metavar="JSON...", help="What --json of the commands wrote.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FILE", help=f"Put it there, between {BEGIN} and {END}.")
    ] = None,
    few: Annotated[bool, typer.Option("--few", help="Only the README's rows, not the tables of all figures.")] = False,
) -> None:
    """Render the tables of docs/benchmarks.md, or the README's few rows, from measurements."""
    measured = [read(path) for path in records]
    text = headlines(measured) if few else render(measured)
    if into is None:
        print(text)
        return
    try:
        page = into.read_text(encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"--into {str(into)!r} cannot be read: {problem}") from None
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UsageError(f"--into {str(into)!r} must hold the lines {BEGIN} and {END}.")
    into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def render(records: list[dict[str, Any]]) -> str:
    """Markdown of all records: a heading for each machine, and a table under each command."""
    machines: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for record in records:
        machines.setdefault(_machine(record), {}).setdefault(_versions(record), []).append(record)
    text = []
    for machine, groups in machines.items():
        text.append(f"### {machine}")
        for versions, group in groups.items():
            text += [f"{versions}. {SPREAD}", *(_table(record) for record in group)]
    return "\n\n".join(text)


def _table(record: dict[str, Any]) -> str:
    make = RENDERERS.get(record["benchmark"])
    if make is None:
        raise UsageError(f"The pages have no row for the benchmark {record['benchmark']!r}.")
    command = record.get("command") or f"python -m benchmarks {record['benchmark']}"
    return "\n".join(
        [
            f"`{command}`, {record['started'][:10]}:",
            "",
            "| measured | figure | spread |",
            "|---|---|---|",
            *(f"| {what} | {figure} | {spread} |" for what, figure, spread in make(record)),
        ]
    )


def _machine(record: dict[str, Any]) -> str:
    where = record["environment"]
    gpus = where["gpus"]
    share = f", {where['cores'] / len(gpus):g} cores per GPU" if gpus else ""
    return f"{where['cores']} cores of {where['processor']}{''.join(f', {name}' for name in gpus)}{share}"


def _versions(record: dict[str, Any]) -> str:
    where = record["environment"]
    versions = where["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "openvino", "ray") if name in versions)
    return f"Keras backend {where['keras_backend']}, {named}"
