"""The gallery's order and flags, by columns of the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from crater_ray.results.gallery.run_gallery import write_gallery
from crater_ray.storage.access import Access
from tests.in_browser import keys_shown, new_page, turn, visit
from tests.made_runs import make_run, row

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.slow
def test_pictures_in_order_of_quality_with_flags_and_their_own_pixels(browser: Browser, tmp_path: Path) -> None:
    rows = []
    for number, (focus, nm) in enumerate([(1.5, 50.0), (1.0, None), (3.0, 20.0), (None, None)]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(60, 70, (120, 160), np.uint8)).save(path)
        known = {"focus": focus, "noise": 2.0, "pixel_nm": nm, "x": 60.0, "y": 60.0, "diameter": 10.0}
        size = {"height": 120, "width": 160, "uri": path.as_uri()}
        rows.append(row(f"k{number}", 0.9 - number / 100, **size, **known, instrument="Helios G4 UX"))
    run = make_run(tmp_path / "run", rows, threshold=0.2)
    write_gallery(run, tmp_path / "pages", Access(), flags=["focus < 1.2"])
    opened = new_page(browser)
    visit(opened, tmp_path / "pages")
    assert keys_shown(opened) == ["k0", "k1", "k2", "k3"]
    turn(opened, lambda: opened.select_option("#sort", label="focus, worst first"))
    assert keys_shown(opened) == ["k1", "k0", "k2", "k3"]
    turn(opened, lambda: opened.select_option("#sort", label="focus, best first"))
    assert keys_shown(opened) == ["k2", "k0", "k1", "k3"]
    turn(opened, lambda: opened.select_option("#flag", label="not flagged"))
    assert keys_shown(opened) == ["k2", "k0", "k3"]
    turn(opened, lambda: opened.select_option("#flag", label="focus < 1.2"))
    assert keys_shown(opened) == ["k1"]
    assert opened.text_content(".card .flag") == "focus < 1.2"
    turn(opened, lambda: opened.select_option("#flag", label="any"))
    about = opened.eval_on_selector_all(".card .about", "all => all.map(one => one.textContent)")
    assert [text for text in about if "nm" in text] == ["\u2300 10 px (200 nm)", "\u2300 10 px (500 nm)"]
    opened.click(".card .crop")
    details = opened.text_content("#zoom-details") or ""
    assert "Helios G4 UX" in details and "2 gray levels" in details and "20 nm" in details
    opened.close()
    write_gallery(run, tmp_path / "sorted", Access(), sort="-focus", pixel_nm=40.0)
    opened = new_page(browser)
    visit(opened, tmp_path / "sorted")
    assert keys_shown(opened) == ["k2", "k0", "k1", "k3"]
    assert opened.text_content("#sort option") == "as made: -focus"
    assert "(400 nm)" in (opened.text_content(".card") or "")
    opened.close()
