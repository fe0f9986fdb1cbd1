"""The page of completeness, opened from disk in a real headless Chromium without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from crater_ray.completeness import read_completeness
from crater_ray.completeness.page import page as make_page
from crater_ray.completeness.publish import PAGE, publish
from crater_ray.completeness.shares import share_of
from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access
from tests.in_browser import new_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_opens_offline_and_shows_what_was_measured(browser: Browser, measured_run: Path, scheme: str) -> None:
    measured = read_completeness(measured_run, pixel_nm=50)
    with open_existing(measured_run) as run:
        publish(run, measured, Access())
    address = (measured_run / "completeness" / PAGE).as_uri()
    asked: list[str] = []
    trouble: list[str] = []
    opened = new_page(browser, viewport={"width": 1200, "height": 900}, color_scheme=scheme)
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: trouble.append(message.text))
    opened.goto(address)
    assert [url for url in asked if url != address and not url.startswith("data:")] == []
    assert trouble == []
    assert opened.locator("h1").inner_text() == "Completeness: run"
    share = measured.share("visible").share
    assert opened.locator(".answers b").first.inner_text() == f"{100 * share:.0f}%"
    assert opened.locator("figure svg").count() >= 4
    points = len(measured.shares["diameter_px"]) + len(measured.shares["every_diameter_px"])
    assert opened.locator("figure svg").first.locator("circle").count() == points
    widths = opened.eval_on_selector_all(".pictures img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) > 8
    assert min(widths) >= 48
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark == (scheme == "dark")
    opened.close()


def test_names_are_text(measured_run: Path) -> None:
    measured = read_completeness(measured_run)
    odd = share_of("foil", "<img src=x onerror=alert(1)>", measured.craters, np.ones(len(measured.craters), bool), 0.5)
    measured.shares["foil"] = [odd, odd]
    text = make_page(measured, "</title>{{body}}<script>alert(1)</script>", "{{style}} & more", [])
    assert "<script" not in text
    assert "<img" not in text
    assert "<title>Completeness: &lt;/title&gt;" in text
    assert "{{style}} &amp; more" in text
