"""Pages of ours in a real headless Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def new_page(browser: Browser, **options: Any) -> Page:
    """A page in a profile of its own, on which is waited for as long as it takes."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * PATIENCE)
    return page


def visit(page: Page, folder: Path) -> None:
    page.goto((folder / "index.html").as_uri())
    page.wait_for_selector("body[data-ready]")


def keys_shown(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".card .name", "all => all.map(one => one.textContent)")
    return found


def turn(page: Page, act: Callable[[], Any]) -> None:
    """Do something that shows other cards, and wait until they are there."""
    before = page.get_attribute("body", "data-ready")
    act()
    page.wait_for_function("before => document.body.dataset.ready !== before", arg=before)
