"""The README's picture: the gallery of the demonstration's run in a headless Chromium, made by `make docs-picture`."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console

from crater_ray.errors import CraterRayError

PICTURE = Path(__file__).with_name("gallery.png")
WIDTH, HEIGHT = 1180, 712
"""Of the page, in pixels."""
COLOURS = 64
LARGEST = 150_000
"""Bytes that the picture may have."""


def main() -> None:
    """Simulate, scan, make the gallery, and keep a picture of its first page."""
    from crater_ray.cli.demo import demonstrate
    from crater_ray.results.gallery.run_gallery import write_gallery
    from crater_ray.runs.run import open_existing
    from crater_ray.storage.access import Access

    with tempfile.TemporaryDirectory() as folder:
        demonstrate(Path(folder), Console())
        with open_existing(Path(folder) / "run") as run:
            write_gallery(run, Path(folder) / "pages", Access(), pixel_nm=50.0)
        pixels = photograph(Path(folder) / "pages" / "index.html", without=f"{folder}/")
    size = keep(pixels, PICTURE)
    print(f"{PICTURE}: {size:,} bytes")


def photograph(page: Path, without: str) -> bytes:
    """A PNG of a gallery's page as a browser shows it.

    Args:
        page: its index.html.
        without: the temporary folder that the page names as the source's; it is left out.

    Raises:
        CraterRayError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise CraterRayError("There is no Chromium to look at the gallery with; `make chromium` installs it.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        view = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.as_uri())
        view.wait_for_selector("body[data-ready]")
        shorten = "(facts, without) => { facts.textContent = facts.textContent.replace(without, '') }"
        view.locator("#facts").evaluate(shorten, without)
        pixels = view.screenshot()
        chromium.close()
    return pixels


def keep(pixels: bytes, path: Path) -> int:
    """Write a picture with few colours, so that it stays small; gives its bytes.

    Raises:
        CraterRayError: it is larger than LARGEST all the same.
    """
    Image.open(io.BytesIO(pixels)).convert("RGB").quantize(COLOURS).save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise CraterRayError(f"{path} has {size:,} bytes; it may have {LARGEST:,}. Show less of the page.")
    return size


if __name__ == "__main__":
    try:
        main()
    except CraterRayError as problem:
        print(f"docs.picture: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
