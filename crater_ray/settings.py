"""What a scan is told, and which of it decides the rows of its run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from crater_ray.engines.registry import find
from crater_ray.errors import UsageError
from crater_ray.images.crop import Crop
from crater_ray.network.bundle import DEFAULT, Bundle
from crater_ray.network.screen import Screen
from crater_ray.runs.manifest import SHARD_IMAGES, Selection
from crater_ray.storage.access import Access
from crater_ray.storage.registry import store_at


@dataclass(frozen=True)
class ScanSettings:
    """Everything that a scan is told.

    Attributes:
        source: folder, `s3://bucket/prefix`, or key list.
        out: the run folder, local or `s3://bucket/prefix`.
        bundle: the network's folder; the shipped one by default.
        access: how to reach S3.
        base: for key lists, what relative entries are relative to.
        column: for key lists that are tables, the column of images.
        selection: which images of the archive.
        threshold: from which score an image is a candidate; the bundle's typical threshold when None.
        engine: `auto`, or the name of one.
        screen: have the bundle's screen look first, and the network only at what it lets pass.
        crop: which part of each image is looked at.
        pixel_nm: width of a pixel in nm; as each file says when None.
        shard_images: images per shard, the unit of publishing and resuming.
        address: a Ray cluster to join; None for this machine alone.
        log: a file to append a structured log to; see `crater_ray.watching.log`.
    """

    source: str
    out: str
    bundle: Path = DEFAULT
    access: Access = field(default_factory=Access)
    base: str | None = None
    column: str | None = None
    selection: Selection = field(default_factory=Selection)
    threshold: float | None = None
    engine: str = "auto"
    screen: bool = False
    crop: Crop = field(default_factory=Crop)
    pixel_nm: float | None = None
    shard_images: int = SHARD_IMAGES
    address: str | None = None
    log: Path | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise UsageError(f"--threshold must lie between 0 and 1; received: {self.threshold}")
        if self.shard_images < 1:
            raise UsageError(f"--shard-images must be at least 1; received: {self.shard_images}")


def bundle_name(bundle: Bundle, engine: str) -> str:
    """What the column `bundle` says."""
    return find(engine).bundle_name(bundle)


def threshold_of(settings: ScanSettings, bundle: Bundle) -> float:
    """From which score an image is a candidate: as told, else as the bundle's card says."""
    return bundle.typical_threshold if settings.threshold is None else settings.threshold


def without_needless_screen(settings: ScanSettings, bundle: Bundle) -> tuple[ScanSettings, str]:
    """The settings without `--screen` where the network is as quick as a screen and has none; and what to say of it.

    Args:
        settings, bundle: of the scan.
    """
    if settings.screen and bundle.gives_maps and bundle.screen is None:
        return replace(settings, screen=False), f"The network {bundle.name!r} needs no screen: --screen is left out."
    return settings, ""


def screen_of(settings: ScanSettings, bundle: Bundle) -> Screen | None:
    """The screen that a scan uses; None unless it was asked for.

    Raises:
        UsageError: the bundle has none, or the threshold is below the one that it was made for.
    """
    if not settings.screen:
        return None
    if bundle.screen is None:
        raise UsageError(
            f"The bundle {bundle.name!r} ({bundle.id}) has no screen. Scan without --screen, or make one with "
            "`python -m training distill`."
        )
    threshold = threshold_of(settings, bundle)
    if threshold < bundle.screen.full_threshold:
        raise UsageError(
            f"The bundle's screen was made for thresholds from {bundle.screen.full_threshold:g} on: below, it may miss "
            f"more than it promises. Received: --threshold {threshold:g}. Raise it, or scan without --screen."
        )
    return bundle.screen


def identity(settings: ScanSettings, bundle: Bundle, engine: str) -> dict[str, Any]:
    """The settings that decide which rows a run has; JSON values only.

    Args:
        settings: of the scan.
        bundle: the network.
        engine: name of the resolved engine.
    """
    screen = screen_of(settings, bundle)
    return {
        "source": store_at(settings.source).absolute(settings.source),
        "endpoint_url": settings.access.endpoint_url,
        "base": settings.base,
        "column": settings.column,
        "limit": settings.selection.limit,
        "sample": settings.selection.sample,
        "seed": settings.selection.seed,
        "bundle": bundle_name(bundle, engine),
        "engine": engine,
        "threshold": threshold_of(settings, bundle),
        "screen": screen.id if screen else None,
        "crop": None if settings.crop.auto else settings.crop.text,
        "pixel_nm": settings.pixel_nm,
        "shard_images": settings.shard_images,
    }
