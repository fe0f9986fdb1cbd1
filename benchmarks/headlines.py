"""The README's few figures, from the same measurements as the tables of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.options import split_engine

Headline = tuple[str, str]
"""What was measured, and the figure."""


def headlines(records: list[dict[str, Any]]) -> str:
    """A Markdown table of the README's rows, as far as there are records for them."""
    lines = ["| what | figure | command |", "|---|---|---|"]
    for benchmark, make in HEADLINES.items():
        for record in records:
            if record["benchmark"] == benchmark:
                command = record.get("command") or f"python -m benchmarks {benchmark}"
                lines += [f"| {what} | {figure} | `{command}` |" for what, figure in make(record)]
    return "\n".join(lines)


def _scan(record: dict[str, Any]) -> Iterator[Headline]:
    """The first engine of `paper`."""
    figures = record["figures"]
    engine, rate = next(iter(figures["scan_images_a_minute"].items()))
    name, screened = split_engine(engine)
    times = figures["times_protocol"][engine]["median"]
    how = f"`--screen`, engine `{name}`" if screened else f"engine `{name}`"
    network = record["settings"].get("network", "stardust")
    what = f"scan from S3 on {record['environment']['cores']} processor cores, `{network}`, {how}: images a minute"
    yield what, f"{rate['median']:,.0f}, {times:.0f} times the original's protocol"


def _start(record: dict[str, Any]) -> Iterator[Headline]:
    for row in record["figures"]["rows"]:
        later, images = row["later_runs"], row["images"]
        if images == 1:
            figure = f"{later['first_row_seconds']['median']:.1f} s"
            yield "from the command to the first row, one image, from the second scan on", figure
        else:
            yield f"a scan of {images:,} images, from the second on", f"{later['seconds']['median']:.1f} s"


def _gpu(record: dict[str, Any]) -> Iterator[Headline]:
    gpus = record["environment"]["gpus"]
    if gpus:
        best = max(record["figures"]["rows"], key=lambda row: row["images_a_second"]["median"])
        rate = 60 * best["images_a_second"]["median"]
        yield f"network alone on one {gpus[0]}: images a minute", f"{rate:,.0f}"


def _screening(record: dict[str, Any]) -> Iterator[Headline]:
    figures = record["figures"]
    if "crater_share" not in record["settings"]:  # on test sets, not on an archive
        return
    what = f"`--screen`, {figures['images']:,} simulated images: candidates of the full network kept"
    yield what, f"{100 * figures['kept_share']:.1f}% of {figures['candidates']:,}"


def _scale(record: dict[str, Any]) -> Iterator[Headline]:
    most = max(record["figures"]["rows"], key=lambda row: row["scorers"])
    share = 100 * most["efficiency"]["median"]
    yield (
        f"{most['scorers']} scorers on {most['nodes']} nodes, devices simulated: share of their time used",
        f"{share:.1f}%",
    )


def _memory(record: dict[str, Any]) -> Iterator[Headline]:
    """The longest scan of `memory`: what all its processes held, and how that grew."""
    run = record["figures"]["runs"][-1]
    every = [run, *run["others"].values()]
    steady, drift = (sum(held[name] for held in every) for name in ("steady_mib", "drift_mib"))
    what = f"memory while scanning {run['images']:,} images, all processes, and its growth from first half to second"
    yield what, f"{steady:,.0f} MiB, {drift:+.0f}"


HEADLINES: dict[str, Callable[[dict[str, Any]], Iterator[Headline]]] = {
    "paper": _scan,
    "start": _start,
    "forward": _gpu,
    "screening": _screening,
    "scale": _scale,
    "memory": _memory,
}
