"""The original protocol, one image at a time through `model.predict`, and the scan beside it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record, spread
from benchmarks.scan import lay_out
from crater_ray.network.bundle import STARDUST, load
from testbed.local_s3 import serving

PUBLISHED = 104.0
"""Images a minute that the original reports on an RTX 2060."""

MEANING = (
    "Images a minute in steady state. Protocol: each image opened from disk, decoded, given to model.predict alone, "
    "through all 216,465 parameters of the publication's network, active or not, whichever network the scan has; the "
    "first is not counted. Scan: as in the benchmark `scan`, drained, in turns with the protocol. Times: rate over the "
    "protocol's of the same turn. The published 104 was measured on other hardware (RTX 2060)."
)


def paper(
    images: Annotated[int, typer.Option("--images", metavar="N", min=2, help="Images for the protocol.")] = 200,
    scan_images: Annotated[
        int, typer.Option("--scan-images", metavar="N", min=0, help="Images for each scan; 0 for none.")
    ] = 6_000,
    engines: Annotated[str, typer.Option("--engines", metavar="NAME,...", help="Engines to scan with.")] = "auto",
    repeats: options.Repeats = 3,
    bundle: options.BundleName = "default",
    source: Annotated[str, typer.Option("--source", metavar="s3|local", help="What the scans read from.")] = "s3",
    distinct: options.Distinct = 400,
    json: options.Json = None,
) -> None:
    """The original's protocol on this machine, and how many times faster the scan is."""
    named = [options.resolve_engine(name, bundle) for name in engines.split(",")] if scan_images else []
    settings: dict[str, Any] = {"images": images, "scan_images": scan_images, "engines": named, "repeats": repeats}
    settings |= {"bundle": bundle, "network": bundle if bundle == "random" else load(bundle).name}
    made = image_set.make(min(distinct, max(images, scan_images)))
    record = Record("paper", {**settings, "source": source}, made.describe(max(images, scan_images)))
    protocol: list[float] = []
    scans: dict[str, list[float]] = {name: [] for name in named}
    decided: dict[str, dict[str, int]] = {}
    options.parse_sources(source)
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="paper-") as work, contextlib.ExitStack() as stack:
        server = stack.enter_context(serving()) if named and source == "s3" else None
        network = str(options.bundle_folder(bundle, Path(work)))
        original = str(STARDUST) if load(network).gives_maps else network
        endpoint = server.endpoint_url if server else None
        address = lay_out(made, scan_images, source, server, Path(work)) if named else ""
        single = image_set.link(made, images, Path(work, "protocol"))
        for _ in range(repeats):
            timed = child.run("benchmarks.paper:one_at_a_time", folder=str(single), bundle=original)
            protocol.append(60 * timed["images"] / timed["seconds"])
            for name in named:
                with tempfile.TemporaryDirectory(dir=work, prefix="run-") as run:
                    common = {"engine": name, "bundle": network, "endpoint_url": endpoint, "shard_images": 1_000}
                    timed = child.run("benchmarks.scan:timed_scan", source=address, out=f"{run}/run", **common)
                decided[name] = timed["decided_by"]
                scans[name].append(60 * timed["drained_images"] / timed["drained_seconds"])
    times = {name: spread([a / b for a, b in zip(rates, protocol, strict=True)]) for name, rates in scans.items()}
    record.figures = {
        "meaning": MEANING,
        "published_images_a_minute": PUBLISHED,
        "protocol_images_a_minute": spread(protocol),
        "scan_images_a_minute": {name: spread(rates) for name, rates in scans.items()},
        "times_protocol": times,
        "decided_by": decided,
    }
    record.write(json)
    rows = [_row("model.predict, one at a time", spread(protocol), None)]
    rows += [_row(f"scan, {name}", spread(rates), times[name]) for name, rates in scans.items()]
    record.show("the original protocol and the scan", ("", "images/min", "spread", "times", "over 104"), rows, MEANING)


def one_at_a_time(folder: str, bundle: str) -> dict[str, Any]:
    """The protocol in this process; meant for a fresh one. Images after the first, and seconds."""
    import numpy as np
    from PIL import Image

    model = load(bundle).model()
    files = sorted(Path(folder).glob("*/*.jpg"))
    scores = []
    started = 0.0
    for number, file in enumerate(files):
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L"))
        scores.append(float(model.predict(pixels[None, ..., None], verbose=0)[0, 0]))
        if number == 0:
            started = time.perf_counter()
    return {"images": len(files) - 1, "seconds": time.perf_counter() - started, "scores_sum": sum(scores)}


def _row(name: str, rate: dict[str, Any], times: dict[str, Any] | None) -> tuple[str, ...]:
    return (
        name,
        f"{rate['median']:,.0f}",
        f"{rate['min']:,.0f}-{rate['max']:,.0f}",
        f"{times['median']:.2f}" if times else "1",
        f"{rate['median'] / PUBLISHED:.2f}",
    )
