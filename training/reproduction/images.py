"""The images of the original's protocol: frames, and data sets of all splits made of the same frames and seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.data_sets.dataset import DataSet, read
from training.data_sets.synthesize import Order, synthesize
from training.reproduction.protocol import Protocol


def make_images(
    protocol: Protocol,
    folder: Path,
    *,
    workers: int,
    say: Callable[[str], None],
    tell: Callable[[int, int], None] = lambda done, wanted: None,
    ends: float = float("inf"),
) -> dict[str, DataSet] | None:
    """Make the data sets that are not there yet, and open all.

    Args:
        protocol: says how many.
        folder: where they are kept.
        workers: processes at once.
        say: is told one line for each that is made.
        tell: is told images done and images wanted, of each.
        ends: the moment, by `time.monotonic`, after which no frame and no data set is begun.

    Returns:
        The data sets `crops`, `crops-validation`, `whole`, `whole-validation` and `test`; None where not all are there.
    """
    frames = Path(protocol.frames_folder) if protocol.frames_folder else folder / "frames"
    if not protocol.frames_folder and not _make_frames(protocol, frames, say, tell, ends):
        return None
    small, large = protocol.crop_shape, protocol.shape
    wanted = {
        "crops": (protocol.crops, small, "train"),
        "crops-validation": (protocol.crops_validation, small, "validation"),
        "whole": (protocol.whole, large, "train"),
        "whole-validation": (protocol.whole_validation, large, "validation"),
        "test": (protocol.test, large, "test"),
    }
    for number, (name, (images, shape, split)) in enumerate(wanted.items()):
        if (folder / name / "card.json").exists():
            continue
        if time.monotonic() >= ends:
            return None
        say(f"making {images:,} images of {shape[0]}x{shape[1]}: {name}")
        order = Order(
            "original",
            images,
            shape,
            split,
            seed=10 * protocol.seed + number,
            seeds_folder=protocol.seeds_folder,
            backgrounds=str(frames),
            plain=True,
            shared=True,
        )
        synthesize(order, folder / name, workers=workers, progress=tell)
    return {name: read(folder / name) for name in wanted}


def _make_frames(
    protocol: Protocol, folder: Path, say: Callable[[str], None], tell: Callable[[int, int], None], ends: float
) -> bool:
    """Simulate the frames of a foil without craters, as 8-bit TIFF, those that are not there; say whether all are."""
    from PIL import Image

    from crater_ray.simulate import simulate_frame

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"simulated_{number:05d}.tif" for number in range(protocol.frames)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        say(f"simulating {len(missing):,} frames of {protocol.frame_shape[0]}x{protocol.frame_shape[1]}")
    for done, number in enumerate(missing, start=1):
        if time.monotonic() >= ends:
            return False
        rng = np.random.default_rng([protocol.seed, 0xF0, number])
        temporary = paths[number].with_suffix(".partial")
        Image.fromarray(simulate_frame(rng, shape=protocol.frame_shape).pixels).save(temporary, "TIFF")
        temporary.replace(paths[number])
        tell(done, len(missing))
    return True
