"""Pictures of anything but craters (brick, rust, gravel, cloth): what is no crater on surfaces that training never met.

A folder of them, one folder of pictures a collection, becomes SOURCES/textures.npz: drawings, sprites, near-duplicates
and what a bundle takes for craters most of all are left out, as among thousands of pictures some have round holes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crater_ray.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tga", ".dds", ".rgb", ".tif", ".tiff")
SMALLEST = 160
SIDE = 448
"""Pixels of a texture's sides at most: a larger picture is made smaller until its short side fits, and cut."""
FLAT = 0.25
"""Share of pixels without any change around them from which a picture is a drawing."""
LEFT_OUT = 0.02
"""Of the pictures, those with the highest logits of the bundle."""


@dataclass(frozen=True)
class Textures:
    """What to collect.

    Attributes:
        folder: with one folder of pictures a collection.
        bundle: finds those that look like craters.
        most: how many are kept, chosen at random.
        seed: decides which.
    """

    folder: Path
    bundle: str = "finder"
    most: int = 4_000
    seed: int = 0


def collect_textures(order: Textures, sources: Path, workers: int = 2) -> dict[str, int]:
    """Write `textures.npz` of a folder of sources and name it in the card; gives how many of each collection.

    Raises:
        UsageError: there are no pictures that can be used.
    """
    found: list[tuple[str, np.ndarray]] = []
    looks: set[bytes] = set()
    with ProcessPoolExecutor(workers) as pool:
        paths = list(_pictures(order.folder))
        for path, pixels in zip(paths, pool.map(_usable, paths, chunksize=32), strict=True):
            if pixels is not None and (look := _look(pixels)) not in looks:
                looks.add(look)
                found.append((path.relative_to(order.folder).parts[0], pixels))
    if not found:
        raise UsageError(f"No pictures ({', '.join(SUFFIXES)}) of use in {str(order.folder)!r}.")
    logit = _logits(order.bundle, [pixels for _, pixels in found])
    kept = np.flatnonzero(logit <= np.quantile(logit, 1 - LEFT_OUT))
    kept = np.sort(np.random.default_rng([order.seed, 37]).permutation(kept)[: order.most])
    arrays = {f"{number:05d}": found[number][1] for number in kept}
    np.savez(sources / "textures.npz", **arrays)  # type: ignore[arg-type]
    counts = dict(sorted(Counter(found[number][0] for number in kept).items()))
    card = json.loads((sources / "card.json").read_text(encoding="utf-8"))
    card["textures"] = counts
    (sources / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return counts


def _pictures(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names) if name.lower().endswith(SUFFIXES))


def _usable(path: Path) -> np.ndarray | None:
    """The picture in grey, (h, w) uint8 of at most `SIDE` px each way; None if it is of no use."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if min(image.size) < SMALLEST or max(image.size) > 4096:
                return None
            if image.mode in ("RGBA", "LA", "P") and (np.asarray(image.convert("RGBA"))[..., 3] < 10).mean() > 0.02:
                return None  # a sprite
            pixels = np.asarray(image.convert("L"))
    except (OSError, ValueError, SyntaxError, NotImplementedError):
        return None
    if (shrink := SIDE / min(pixels.shape)) < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    pixels = np.ascontiguousarray(pixels[:SIDE, :SIDE])
    still = np.abs(cv2.Laplacian(pixels.astype(np.float32), cv2.CV_32F)) < 0.5
    return None if pixels.std() < 6 or still.mean() > FLAT else pixels


def _look(pixels: np.ndarray) -> bytes:
    return np.asarray(cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA) // 24).tobytes()


def _logits(bundle: str, pictures: list[np.ndarray], batch: int = 16) -> np.ndarray:
    from crater_ray.network.bundle import load
    from training.finder.calibrate import strongest

    side = SIDE - SIDE % 16
    filled = [np.pad(one, [(0, max(0, side - n)) for n in one.shape], mode="symmetric") for one in pictures]
    weights = load(bundle).weights
    return np.concatenate(
        [
            strongest(weights, np.stack([one[:side, :side] for one in filled[start : start + 512]]), batch)
            for start in range(0, len(filled), 512)
        ]
    )
