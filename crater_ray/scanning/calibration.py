"""Calibrating an engine on images of an archive, or on simulated ones, and keeping what was measured in the card."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.engines.calibration import Calibrated, measure
from crater_ray.engines.choice import KEPT_SHARE
from crater_ray.engines.registry import find, names_with_figures
from crater_ray.errors import UsageError
from crater_ray.images.decode import pixels_of
from crater_ray.images.fetch import fetch
from crater_ray.images.status import Refusal
from crater_ray.network.bundle import CARD, DEFAULT
from crater_ray.network.bundle import load as load_bundle
from crater_ray.network.stardust import TILE
from crater_ray.places.tiles import WHOLE_PIXELS, tile_corners
from crater_ray.runs.manifest import Selection
from crater_ray.scanning.scan import list_archive
from crater_ray.settings import ScanSettings
from crater_ray.simulate import simulate_archive
from crater_ray.storage.access import Access
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

BATCH = 16
ALL = "all"
"""Stands for every engine of which a card keeps figures and that is of use on this machine."""


@dataclass(frozen=True)
class CalibrationSettings:
    """What a calibration is told.

    Attributes:
        source: the archive; None for simulated foils.
        bundle: the network's folder.
        engine: name of the engine, or `ALL`.
        images: to compare on.
        calibration: other images, to take the ranges from.
        craters: share of the simulated images that hold a crater.
        confirm: scores this near the threshold are computed again in float32; as near as it takes when None.
        quantile: share of an image's values that a range covers.
        layers: how many activations become 8-bit numbers; all but the last when None.
        threshold: from which score an image is a candidate; the bundle's typical one when None.
        seed: decides which images are taken, or simulated.
        write: keep calibration and agreement in the bundle's card.
        access: how to reach S3.
    """

    source: str | None = None
    bundle: Path = DEFAULT
    engine: str = "openvino"
    images: int = 1_000
    calibration: int = 200
    craters: float = 0.5
    confirm: float | None = None
    quantile: float = 1.0
    layers: int | None = None
    threshold: float | None = None
    seed: int = 1
    write: bool = False
    access: Access = field(default_factory=Access)


def calibrate(settings: CalibrationSettings, console: Console) -> list[Calibrated]:
    """Measure how engines agree with float32, say it, and keep it if asked to.

    Args:
        settings: what to do.
        console: where to say it.

    Raises:
        UsageError: an engine cannot be had, or there are too few images.
    """
    bundle = load_bundle(settings.bundle)
    if settings.write and (settings.bundle is DEFAULT or not (settings.bundle / CARD).is_file()):
        raise UsageError(
            "The bundle that ships with crater-ray stays as it is: --write needs --bundle DIR, such as a copy of "
            f"{DEFAULT}."
        )
    engines = [settings.engine]
    if settings.engine == ALL:
        engines = [name for name in names_with_figures() if find(name).installed and find(name).quick_here()]
    for engine in engines:
        find(engine).check()
    measured = []
    with tempfile.TemporaryDirectory(prefix="crater-ray-calibration-") as scratch:
        if settings.source is None:
            first = _simulated(Path(scratch, "calibration"), settings.calibration, settings.seed + 1_000, settings)
            second = _simulated(Path(scratch, "compared"), settings.images, settings.seed, settings)
        else:
            first, second = _drawn(settings, console)
        for engine in engines:
            found = measure(
                bundle,
                engine,
                batches(first, settings.access),
                batches(second, settings.access),
                settings.threshold,
                settings.confirm,
                settings.quantile,
                settings.layers,
            )
            _show(found, console)
            measured.append(found)
            if settings.write:
                bundle = found.recorded(bundle, _measured_on(settings))
                bundle.save(settings.bundle)
                say(console, f"written to {settings.bundle / CARD}")
    return measured


def batches(uris: Sequence[str], access: Access) -> Iterator[np.ndarray]:
    """The readable images as (n, height, width) uint8, one size per batch; large ones cut into tiles, as in a scan.

    Args:
        uris: where they are.
        access: how to reach S3.
    """
    waiting: dict[tuple[int, ...], list[np.ndarray]] = {}
    for data in fetch(uris, access, last_try=True):
        if isinstance(data, Exception):
            raise data
        image = data if isinstance(data, Refusal) else pixels_of(data)
        if isinstance(image, Refusal):
            continue
        for piece in _pieces(image):
            some = waiting.setdefault(piece.shape, [])
            some.append(piece)
            if len(some) == BATCH:
                yield np.stack(waiting.pop(piece.shape))
    for rest in waiting.values():
        yield np.stack(rest)


def _pieces(image: np.ndarray) -> list[np.ndarray]:
    if image.size <= WHOLE_PIXELS:
        return [image]
    return [image[row : row + TILE[0], column : column + TILE[1]] for row, column in tile_corners(*image.shape)]


def _simulated(folder: Path, images: int, seed: int, settings: CalibrationSettings) -> list[str]:
    simulate_archive(folder, images, round(images * settings.craters), seed)
    return [str(file) for file in sorted(folder.glob("*/*-001.jpg"))]


def _drawn(settings: CalibrationSettings, console: Console) -> tuple[list[str], list[str]]:
    """Images to calibrate on, and others to compare on, at random from the archive."""
    wanted = settings.calibration + settings.images
    selection = Selection(sample=wanted, seed=settings.seed)
    told = ScanSettings(str(settings.source), "", access=settings.access, selection=selection)
    table, _, _ = list_archive(told, console)
    if table.num_rows < 2:
        raise UsageError(f"Calibrating needs at least two images; {settings.source} has {table.num_rows}.")
    uris = table["uri"].to_pylist()
    order = np.random.default_rng(settings.seed).permutation(len(uris))
    first = max(1, len(uris) * settings.calibration // wanted)
    return [uris[i] for i in order[:first]], [uris[i] for i in order[first:]]


def _measured_on(settings: CalibrationSettings) -> dict[str, Any]:
    source = {"crater_share": settings.craters} if settings.source is None else {"source": settings.source}
    names = ("images", "calibration", "quantile", "layers", "seed")
    return {**source, **{name: getattr(settings, name) for name in names}}


def _show(found: Calibrated, console: Console) -> None:
    it = found.agreement
    say(console, f"{found.engine} beside float32, on {it.images:,} images:")
    say(console, f"largest score difference  {it.largest_difference:.4f}  (mean {it.mean_difference:.4f})")
    say(console, f"candidates from {it.threshold:g}    {it.candidates:,}: {it.kept:,} kept, {it.gained:,} gained")
    if found.confirm:
        say(console, f"computed again in float32  {found.confirmed_share:.1%}, within {found.confirm:.2g} of it")
    if it.kept_share < KEPT_SHARE:
        say(console, f"It keeps {it.kept_share:.2%} of the candidates; {KEPT_SHARE:.1%} are wanted.")
