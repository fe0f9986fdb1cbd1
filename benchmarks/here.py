"""This machine in about ten minutes: the original protocol, engines, scans, start and peers, in one table."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, frames, image_set, options, peers
from benchmarks.frames import AREA, BLOCK
from benchmarks.image_set import ImageSet
from benchmarks.record import Record, spread
from benchmarks.start import small_scan
from crater_ray.network.bundle import STARDUST, load

PROTOCOL, PEERS, SMALL = 40, 200, 150
"""Images for the protocol, for each peer, and of a small scan."""
SCAN_SECONDS = 15.0

MEANING = (
    "Every figure as the command named for it in docs/benchmarks.md takes it, with fewer images: `paper`, `frames`, "
    "`start`, `peers`. All of them in turns, as many turns as the time allows; medians of the turns. Images of 384x512 "
    "and frames of 768x1024 have the same content and compression. Ratios are between figures of the same turn."
)

Turn = dict[str, float]
"""What was measured in a turn, by what it is."""


def here(
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="M", min=0, help="Begin no further turn that would end later.")
    ] = 10,
    bundle: options.BundleName = "default",
    engines: Annotated[
        str, typer.Option("--engines", metavar="NAME,...", help="Engines alone; all: those that can be had here.")
    ] = "all",
    engine: options.Engine = "auto",
    only: Annotated[
        str, typer.Option("--peers", metavar="NAME,...", help="Which peers, of those that are installed.")
    ] = ",".join(peers.PEERS),
    daft: Annotated[Path | None, typer.Option("--daft", metavar="DIR", help="As for `peers`.")] = None,
    block: Annotated[int, typer.Option("--block", metavar="N", min=AREA, help="Images for the engines alone.")] = BLOCK,
    distinct: options.Distinct = 200,
    json: options.Json = None,
) -> None:
    """This machine in about ten minutes: protocol, engines, scans of site images and frames, start, peers."""
    began = time.monotonic()
    chosen = options.resolve_engine(engine, bundle)
    names = list(dict.fromkeys([chosen, *frames.engines_here(engines, bundle)]))
    others, skipped = peers.installed(only, daft)
    settings: dict[str, Any] = {"minutes": minutes, "bundle": bundle, "engines": names, "engine": chosen}
    made = frames.both_sizes(distinct)
    record = Record("here", settings | {"peers": others, "block": block}, made[0].describe(distinct))
    turns: list[Turn] = []
    longest = 0.0
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="here-") as work:
        folder = options.bundle_folder(bundle, Path(work))
        while not turns or time.monotonic() - began + longest < 60 * minutes:
            turned = time.monotonic()
            place = Path(work, f"turn-{len(turns)}")
            place.mkdir()
            turns.append(_turn(made, folder, names, chosen, others, daft, block, place, Path(work, "cache")))
            longest = max(longest, time.monotonic() - turned)
    rows = [_row(what, [turn[what] for turn in turns if what in turn]) for what in turns[0]]
    record.figures = {"meaning": MEANING, "turns": len(turns), "skipped": skipped, "rows": rows}
    record.write(json)
    left_out = "".join(f" Skipped: {name} ({why})." for name, why in skipped.items())
    shown = [
        (row["what"], *(f"{row['figure'][value]:,.{row['digits']}f}" for value in ("median", "min", "max")))
        for row in rows
    ]
    record.show(f"this machine, {len(turns)} turns", ("", "median", "lowest", "highest"), shown, MEANING + left_out)


def _turn(
    made: list[ImageSet],
    bundle: Path,
    engines: list[str],
    chosen: str,
    others: list[str],
    daft: Path | None,
    block: int,
    work: Path,
    cache: Path,
) -> Turn:
    """Measure all once."""
    sites = made[0]
    found: Turn = {}
    protocol = child.run(
        "benchmarks.paper:one_at_a_time",
        folder=str(image_set.link(sites, PROTOCOL, work / "protocol")),
        bundle=str(STARDUST if load(bundle).gives_maps else bundle),
    )
    slow = found["original protocol, images a minute"] = 60 * protocol["images"] / protocol["seconds"]
    alone = {name: frames.measure(made, name, bundle, block, 1)["alone"] for name in engines}
    for name, figures in alone.items():
        found[f"network alone ({name}), images a minute"] = 60_000 / figures["sites"]["median"]
        found[f"network alone ({name}), frames a minute"] = 60_000 / figures["frames"]["median"] / AREA
    count = frames.enough(alone[chosen], SCAN_SECONDS)
    scan = frames.scans(made, chosen, bundle, count, 1, work)
    quick = found[f"scan ({chosen}), images a minute"] = 60_000 / scan["sites"]["median"]
    found[f"scan ({chosen}), frames a minute"] = 60_000 / scan["frames"]["median"] / AREA
    found["scan over the original protocol"] = quick / slow
    found["cost of a pixel in frames over one in images, scan"] = scan["ratio"]["median"]
    found |= _starts(sites, bundle, chosen, work, cache)
    source = str(image_set.link(sites, PEERS, work / "peers")) if others else ""
    for name in others:
        out = work / name.replace(" ", "-")
        rate = 60 * peers.images_a_second(name, source, "full", str(bundle), out, daft)
        found[f"{name}, images a minute"] = rate
        found[f"scan over {name}"] = quick / rate
    return found


def _starts(sites: ImageSet, bundle: Path, engine: str, work: Path, cache: Path) -> Turn:
    """Small scans; in the first turn also one with nothing kept from earlier ones."""
    found: Turn = {}
    if not cache.exists():
        timed = small_scan(sites, 1, bundle, engine, work / "first", cache)
        found["one image, from the command to its row, the first time, seconds"] = timed["first_row_seconds"]
    timed = small_scan(sites, 1, bundle, engine, work / "one", cache)
    found["one image, from the command to its row, seconds"] = timed["first_row_seconds"]
    timed = small_scan(sites, SMALL, bundle, engine, work / "small", cache)
    found[f"scan of {SMALL} images, from the command to its end, seconds"] = timed["seconds"]
    return found


def _row(what: str, values: list[float]) -> dict[str, Any]:
    digits = 0 if what.endswith("a minute") else 1 if what.endswith("seconds") else 2
    return {"what": what, "digits": digits, "figure": spread(values)}
