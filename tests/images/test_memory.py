"""Memory that images take: the largest stay within what is promised, and what asks for more gets a row."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from crater_ray.images.bounds import MAX_PIXELS
from crater_ray.scanning.loader import bounded_memory
from tests.conftest import PATIENCE
from tests.images.decoded_alone import decoded_alone
from tests.images.test_decode import RAMP

SIDE = int(MAX_PIXELS**0.5)


def large_tiff(path: Path, pixels: np.ndarray, **how: Any) -> None:
    tifffile.imwrite(path, np.broadcast_to(pixels, (SIDE, SIDE, *pixels.shape[2:])), metadata=None, **how)


def speckle(kind: str, *samples: int) -> np.ndarray:
    """One line of noise, of which large images are made."""
    return np.random.default_rng(0).integers(0, 60_000, (1, SIDE, *samples)).astype(kind)


LARGEST: dict[str, Callable[[Path], None]] = {
    "cmyk.jpg": lambda path: Image.new("CMYK", (SIDE, SIDE)).save(path, progressive=True),
    "float.tif": lambda path: large_tiff(path, speckle("f4"), compression="deflate", rowsperstrip=SIDE),
    "colours.tif": lambda path: large_tiff(path, speckle("u2", 3), photometric="rgb"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_largest_images_of_every_kind_stay_within_the_stated_memory(name: str, tmp_path: Path) -> None:
    """The page of guarantees says at most 800 MB; these are the kinds that need most."""
    LARGEST[name](tmp_path / name)
    said, megabytes, _ = decoded_alone(tmp_path / name)
    assert said == "ok"
    assert 100 < megabytes < 800


def test_memory_beyond_the_bound_is_a_row_not_a_crash(tmp_path: Path) -> None:
    """The limit of the loader's own process: what asks for more gets a refusal, and the next image is read."""
    side = 7_900
    Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / "large.png")
    Image.fromarray(RAMP).save(tmp_path / "small.png")
    code = (
        "import sys\nfrom crater_ray.scanning import loader\nfrom crater_ray.storage.access import Access\n"
        "loader.bounded_memory.__wrapped__.__defaults__ = (50_000_000,)\n"
        "print(loader.load(sys.argv[1:], Access())[0].status)\n"
    )
    uris = [f"file://{tmp_path}/{name}.png" for name in ("small", "large", "small")]
    done = subprocess.run(
        [sys.executable, "-c", code, *uris], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.strip() == "['ok', 'unsupported', 'ok']", done.stderr
    with bounded_memory(50_000_000), pytest.raises(MemoryError):
        np.zeros(500_000_000, np.uint8).fill(1)
    np.zeros(100_000_000, np.uint8).fill(1)  # the bound is gone again
