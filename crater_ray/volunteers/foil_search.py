"""The foil search's own site: a list of keys to show, and calibration images in the layout of its storage.

OUT/
  keys.txt                       keys of the candidates, best first, one a line
  calibration/KEY/KEY-001.jpg    images of the run with a crater planted into each
  calibration.csv                which crater is where in them; not to be published
"""

from __future__ import annotations

import csv
import hashlib
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crater_ray.completeness.plan import recipe_of
from crater_ray.images.fetch import fetch
from crater_ray.images.status import Refusal
from crater_ray.planting.jpeg import luma_table
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.volunteers.pictures import read

SIZE = (384, 512)
"""Height and width of the site's images in px; of larger ones a part of this size is shown."""
LETTERS = string.ascii_letters + string.digits
COLUMNS = ("key", "tech", "x", "y", "diameter", "contrast_to_noise", "made_of", "left", "top", "foil", "seed")
QUALITY = 85
MARGIN = 48
"""Pixels between a crater's centre and the border of the part that is shown, where the image has them."""


def write_keys(keys: list[str], folder: Path) -> dict[str, int]:
    """Write the key list; a key that is more than a line cannot stand in it.

    Returns:
        Why some are left out: how many by reason.
    """
    fit = [key for key in keys if len(key.splitlines()) == 1]
    (folder / "keys.txt").write_text("".join(f"{key}\n" for key in fit), encoding="utf-8", errors="surrogateescape")
    left_out = len(keys) - len(fit)
    return {"the key holds a line break": left_out} if left_out else {}


def write_calibration(
    run_id: str,
    craters: list[dict[str, Any]],
    folder: Path,
    access: Access,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, dict[str, int]]:
    """Write calibration images and the table that says what they hold.

    Args:
        run_id: of the run that the images are of.
        craters: as `crater_ray.volunteers.gold.gold_standards` gives them.
        folder: gets `calibration/` and `calibration.csv`.
        access: how to reach the images.
        seed: decides keys, and which part is shown of an image that is larger than the site's.
        progress: called with images done and images in all.

    Returns:
        How many there are; why some are left out: how many by reason.
    """
    problems: dict[str, int] = {}
    rows = []
    files = fetch([row["uri"] for row in craters], access)
    for number, (row, data) in enumerate(zip(craters, files, strict=True)):
        made = data if isinstance(data, StorageError | Refusal) else read(data, None, recipe_of(row))
        if isinstance(made, StorageError | Refusal) or isinstance(data, StorageError | Refusal):
            reason = made.reason if isinstance(made, Refusal) else str(made)
            problems[reason] = problems.get(reason, 0) + 1
            continue
        rng = np.random.default_rng([seed, 13, number])
        top, left = (_begins(row[axis], made.shape[i], SIZE[i], rng) for i, axis in enumerate("yx"))
        key = key_of(f"{run_id} {seed} {number}")
        path = folder / "calibration" / key / f"{key}-001.jpg"
        path.parent.mkdir(parents=True)
        table = luma_table(data)
        part = Image.fromarray(made[top : top + SIZE[0], left : left + SIZE[1]])
        # Saved with the steps and on the grid of the file itself: a calibration image is compressed as often as others.
        part.save(path, "JPEG", **({"qtables": [table]} if table else {"quality": QUALITY}))
        place = {"x": round(row["x"] - left, 2), "y": round(row["y"] - top, 2)}
        known = {name: row[name] for name in ("diameter", "contrast_to_noise", "foil", "seed")}
        rows.append({"key": key, "tech": 1, "made_of": row["image"], "left": left, "top": top} | place | known)
        if progress:
            progress(number + 1, len(craters))
    with (folder / "calibration.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows), problems


def key_of(text: str) -> str:
    """A key in the site's fashion (`fc_` and 20 letters and digits) that tells nothing of its image."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest())
    letters = []
    for _ in range(20):
        number, at = divmod(number, len(LETTERS))
        letters.append(LETTERS[at])
    return "fc_" + "".join(letters)


def _begins(at: float, length: int, side: int, rng: np.random.Generator) -> int:
    """Where a part of this side begins that holds a place: anywhere, on the grid of JPEG's blocks."""
    if length <= side:
        return 0
    low = min(max(0, round(at) - side + MARGIN), length - side)
    high = max(low, min(length - side, round(at) - MARGIN))
    return int(rng.integers(low, high + 1)) // 8 * 8
