"""A gallery of many candidates: how long it takes to make, how soon its first page opens, how large its files are."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import image_set, options
from benchmarks.record import Record, spread
from crater_ray.errors import CraterRayError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

MEANING = (
    "A run in which every image is a candidate (the stand-in engine, threshold 0), its images of 384x512 pixels on "
    "this machine's disk. Made: seconds from the command to the last file. Opened: from the address to a page that can "
    "be used, in a headless Chromium, each time with an empty profile."
)


def gallery(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Candidates.")] = 15_000,
    repeats: options.Repeats = 3,
    distinct: options.Distinct = 300,
    json: options.Json = None,
) -> None:
    """Make a gallery of so many candidates and open its first page in Chromium."""
    from rich.console import Console

    from crater_ray.results.gallery.run_gallery import write_gallery
    from crater_ray.runs.run import open_existing
    from crater_ray.scanning.scan import scan
    from crater_ray.settings import ScanSettings
    from crater_ray.storage.access import Access

    made = image_set.make(min(distinct, images))
    record = Record("gallery", {"images": images, "repeats": repeats}, made.describe(images))
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="gallery-") as scratch:
        work = Path(scratch)
        source = image_set.link(made, images, work / "archive")
        settings = ScanSettings(str(source), str(work / "run"), engine="stand-in", threshold=0.0)
        scan(settings, Console(quiet=True))
        with open_existing(work / "run") as run:
            started = time.perf_counter()
            written = write_gallery(run, work / "pages", Access(), pixel_nm=50.0)
            seconds = time.perf_counter() - started
        pages = [path for path in written.page.parent.rglob("*") if path.is_file()]
        figures: dict[str, Any] = {
            "candidates": written.candidates,
            "made_seconds": round(seconds, 1),
            "files": len(pages),
            "largest_file_mb": round(max(path.stat().st_size for path in pages) / 1e6, 2),
            "whole_mb": round(written.bytes / 1e6, 1),
            "opened_seconds": spread(opened(written.page, repeats)),
        }
    record.figures = figures | {"meaning": MEANING}
    record.write(json)
    f = figures["opened_seconds"]
    rows = [(name.replace("_", " "), f"{value:,}") for name, value in figures.items() if name != "opened_seconds"]
    rows.append(("first page opened, seconds", f"{f['median']:.2f} ({f['min']:.2f}-{f['max']:.2f})"))
    record.show(f"a gallery of {images:,} candidates", ("", ""), rows, MEANING)


def opened(page: Path, repeats: int) -> list[float]:
    """Seconds until a gallery's first page can be used, each in a browser of its own.

    Raises:
        CraterRayError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise CraterRayError("There is no Chromium to open the gallery with (Debian: apt-get install chromium).")
    seconds = []
    with sync_playwright() as playwright:
        for _ in range(repeats):
            chromium = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
            view = chromium.new_page(viewport={"width": 1300, "height": 900})
            started = time.perf_counter()
            view.goto(page.as_uri())
            view.wait_for_selector("body[data-ready]")
            seconds.append(time.perf_counter() - started)
            chromium.close()
    return seconds
