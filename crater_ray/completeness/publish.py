"""What a measurement leaves in the run's folder: completeness.html, completeness.csv and completeness.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crater_ray.completeness.page import page as make_page
from crater_ray.completeness.pictures import pictures
from crater_ray.completeness.report import Completeness
from crater_ray.completeness.settings import FOLDER
from crater_ray.images.crop import Crop
from crater_ray.images.picture import Reading
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.errors import explain
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

PAGE, TABLE, RECORD = "completeness.html", "completeness.csv", "completeness.json"


def publish(
    run: Run, measured: Completeness, access: Access, page: Path | None = None, csv: Path | None = None
) -> list[str]:
    """Write page, table and record into the planted run's folder, over earlier ones.

    Args:
        run: whose completeness it is.
        measured: what is written.
        access: how to reach the images, for pictures of planted craters.
        page, csv: also write the page and the table to these files.

    Returns:
        Where they are.
    """
    settings = run.record["settings"]
    images = replace(access, endpoint_url=access.endpoint_url or settings.get("endpoint_url"))
    shown = pictures(measured.craters, images, Reading(Crop(settings.get("crop") or "auto")))
    name = run.folder.uri.rstrip("/").rpartition("/")[2]
    facts = (
        f"{measured.images:,} readable images of {settings['source']}, network {settings['bundle']}, engine "
        f"{settings['engine']}, run {run.id}"
    )
    text = make_page(measured, name, facts, shown)
    written = []
    for file, content in ((PAGE, text), (TABLE, measured.as_csv()), (RECORD, measured.as_json())):
        run.folder.publish(f"{FOLDER}/{file}", content.encode("utf-8", "backslashreplace"))
        written.append(f"{run.folder.uri.rstrip('/')}/{FOLDER}/{file}")
    for path, content in ((page, text), (csv, measured.as_csv())):
        if path is not None:
            try:
                path.write_bytes(content.encode("utf-8", "backslashreplace"))
            except OSError as problem:
                raise explain(problem, str(path)) from None
            written.append(str(path))
    return written


def show_published(written: list[str], console: Console) -> None:
    """Say where it is."""
    for place in written:
        say(console, place)
