"""What a rescan of a chosen part reads: every request for an image is counted on its way to the S3 server."""

from __future__ import annotations

import io
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from benchmarks import options
from benchmarks.record import Record
from crater_ray.errors import CraterRayError
from testbed.counting_relay import counting
from testbed.local_s3 import PUBLIC, LocalS3, serving

SIDE = 92
"""Images are as small as they may be: it is requests that are counted."""

MEANING = (
    "A run of tiny images on a local S3 server with the stand-in engine; its rows from a score on are scanned again "
    "through a relay that notes every request, and both runs merged. Right is: as many reads as chosen images, each of "
    "a chosen one, no listing of the archive, and a merged run that verifies as complete."
)


def rescan(
    images: Annotated[int, typer.Option("--images", metavar="N", min=20, help="Images of the first run.")] = 10_000,
    share: Annotated[
        float, typer.Option("--share", metavar="PERCENT", min=0.1, max=100, help="How much of it is scanned again.")
    ] = 5.0,
    json: options.Json = None,
) -> None:
    """Requests that a rescan of a part of a run makes, counted at the S3 server; exit 1 if one is wrong."""
    record = Record("rescan", {"images": images, "share": share})
    with serving() as server:
        os.environ.update(server.environment())
        record.figures = measure(server, images, share) | {"meaning": MEANING}
    record.write(json)
    f = record.figures
    rows = [
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
        for name, value in f.items()
        if name != "meaning"
    ]
    record.show(f"a rescan of {share:g}% of {images:,} images", ("", "count"), rows, MEANING)
    if not right(f):
        raise CraterRayError("The rescan did not read exactly the chosen images once, or the merged run is not whole.")


def right(figures: dict[str, Any]) -> bool:
    """Whether exactly the chosen images were read, once each, and the merged run is whole."""
    read = figures["reads_of_images"] == figures["images_read"] == figures["images_chosen"]
    nothing_else = figures["reads_of_others"] == figures["listings_of_the_archive"] == 0
    return bool(read and nothing_else and figures["merged_whole"])


def measure(server: LocalS3, images: int, share: float, prefix: str = "rescan-benchmark") -> dict[str, Any]:
    """Scan, rescan through a relay, merge; and what was counted.

    Args:
        server: with a bucket `PUBLIC`.
        images: of the archive, which is made.
        share: of them that is scanned again, in percent.
        prefix: in the bucket, for archive and runs.
    """
    from rich.console import Console

    from crater_ray.results.merge import merge
    from crater_ray.results.open_run import Results
    from crater_ray.results.rescan import Conditions
    from crater_ray.results.rescan import rescan as again
    from crater_ray.runs.run import open_existing
    from crater_ray.scanning.scan import scan
    from crater_ray.settings import ScanSettings
    from crater_ray.storage.access import Access

    _fill(server, images, f"{prefix}/real")
    place, access, quiet = f"s3://{PUBLIC}/{prefix}", Access(server.endpoint_url), Console(quiet=True)
    with tempfile.TemporaryDirectory(prefix="rescan-") as scratch:
        common = {"bundle": options.bundle_folder("random", Path(scratch)), "engine": "stand-in", "threshold": 0.99}
        scan(ScanSettings(f"{place}/real", f"{place}/first", access=access, **common), quiet)  # type: ignore[arg-type]
        with open_existing(f"{place}/first", access) as first:
            scores = np.sort(Results(first).table(["score"])["score"].to_numpy())
            least = scores[len(scores) - max(1, round(images * share / 100))]
            where = f"score >= {least!s}"
            chosen = Results(first, where).table(["key"])["key"].to_pylist()
            with counting(server.endpoint_url) as relay:
                seen = Access(relay.endpoint_url)
                settings = ScanSettings(f"{place}/first", f"{place}/second", access=seen, **common)  # type: ignore[arg-type]
                again(settings, quiet, Conditions(where))
            with open_existing(f"{place}/second", access) as second:
                merged = merge(first, [second], f"{place}/merged", access)
    with open_existing(f"{place}/merged", access) as complete:
        whole = complete.check().whole and complete.success() is not None
    expected = {f"GET /{PUBLIC}/{prefix}/real/{key}/{key}-001.jpg" for key in chosen}
    asked = Counter(line for line in relay.requests if f"{prefix}/real/" in line and "list-type" not in line)
    return {
        "images": images,
        "images_chosen": len(chosen),
        "reads_of_images": sum(count for line, count in asked.items() if line in expected),
        "images_read": len(expected & set(asked)),
        "reads_of_others": sum(count for line, count in asked.items() if line not in expected),
        "listings_of_the_archive": sum("list-type" in line and f"{prefix}/real" in line for line in relay.requests),
        "rows_replaced": merged.replaced,
        "merged_whole": bool(whole),
    }


def _fill(server: LocalS3, images: int, prefix: str) -> None:
    """Images of all brightnesses, so that their scores differ."""
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    levels = rng.permutation(np.linspace(30, 220, images))

    def put(number: int) -> None:
        pixels = np.random.default_rng([1, number]).normal(levels[number], 12, (SIDE, SIDE))
        data = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=60)
        key = f"fm_{number:06d}_0"
        server.client.put_object(Bucket=PUBLIC, Key=f"{prefix}/{key}/{key}-001.jpg", Body=data.getvalue())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(images)))
