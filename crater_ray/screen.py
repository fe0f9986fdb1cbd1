"""The screen: a small network, distilled from the full one, that finds safely empty images at a fraction of its cost.

It looks at every image; those below its threshold get its verdict, the others go to the full network. Its threshold
is set on held-out images so that nearly all of the full network's candidates pass. It is part of a bundle
(`screen.npz`, and `screen` in the card); `python -m training distill` makes it.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network import DENSE, Weights

ARCHITECTURE = "screen-1"
FILE = "screen.npz"

STEM = (4, 2)
"""Side and step in pixels of the first convolution's kernel."""

CONVOLUTIONS: tuple[tuple[int, bool], ...] = (
    (16, False),
    (16, True),
    (32, False),
    (32, True),
    (48, False),
    (48, True),
    (64, False),
)
"""Per convolution, the first with the kernel of `STEM`, the others 3x3: how many filters, and whether a 2x2 max-pool
follows. All keep the size, so that the last map has a position every 16 px, like the full network's."""

FEATURES = 32
"""What a last 1x1 convolution gives at each position: the screen's idea of the full network's last feature map."""

BORDER = (2, 3)
"""Positions left out before and after the map in each direction: what is left lies where the full network's do."""

SAMPLE = 4
"""Mean and deviation of an image are taken over one pixel in this many each way."""


@dataclass(frozen=True)
class Screen:
    """A screen ready to be used.

    Attributes:
        weights: float32 arrays by name: `conv1/kernel` (rows, columns, in, out), `conv1/bias`, ..., `features/...`,
            and the dense layers `dense1/...` to `dense7/...` as in the full network.
        threshold: images whose screening score reaches it go to the full network.
        full_threshold: the lowest threshold of a run for which the promise was measured.
        size: height and width in pixels of the images it was made for; others go to the full network unscreened.
        promise: share of the full network's candidates that passed on the held-out images.
        bundle: id of the network it was distilled from.
        ranges: largest value of each activation, for 8-bit numbers; see `crater_ray.engine.screens`.
        made: what made it.
        figures: what was measured with it.
    """

    weights: Weights
    threshold: float
    full_threshold: float
    size: tuple[int, int]
    promise: float
    bundle: str
    ranges: dict[str, float] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all that decides which images pass."""
        decides = (ARCHITECTURE, self.bundle, self.threshold, tuple(self.size), sorted(self.ranges.items()))
        digest = hashlib.sha256(repr(decides).encode())
        for name in sorted(self.weights):
            array = self.weights[name]
            digest.update(f"{name}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return digest.hexdigest()[:12]

    def card(self) -> dict[str, Any]:
        """What a bundle's card says of it."""
        return {
            "id": self.id,
            "architecture": ARCHITECTURE,
            "parameters": int(sum(array.size for array in self.weights.values())),
            "threshold": self.threshold,
            "full_threshold": self.full_threshold,
            "size": list(self.size),
            "promise": self.promise,
            "bundle": self.bundle,
            "ranges": self.ranges,
            "made": self.made,
            "figures": self.figures,
        }

    def save(self, folder: Path) -> None:
        """Write the weights into a bundle's folder; the bundle's card holds the rest."""
        np.savez(folder / FILE, **{name: self.weights[name] for name in sorted(self.weights)})  # type: ignore[arg-type]


def shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each weight by name."""
    found: dict[str, tuple[int, ...]] = {}
    channels = 1
    for number, (filters, _) in enumerate(CONVOLUTIONS, start=1):
        side = STEM[0] if number == 1 else 3
        found |= {f"conv{number}/kernel": (side, side, channels, filters), f"conv{number}/bias": (filters,)}
        channels = filters
    found |= {"features/kernel": (1, 1, channels, FEATURES), "features/bias": (FEATURES,)}
    channels = FEATURES
    for number, units in enumerate((*DENSE, 1), start=1):
        found |= {f"dense{number}/kernel": (channels, units), f"dense{number}/bias": (units,)}
        channels = units
    return found


def load(folder: Path, entry: Mapping[str, Any], bundle: str) -> Screen:
    """Read the screen of a bundle.

    Args:
        folder: of the bundle.
        entry: what its card says of the screen.
        bundle: id of the bundle's network.

    Raises:
        UsageError: it is not there, was damaged or changed, or is of another kind or network.
    """
    again = "Make it again with `python -m training distill`."
    try:
        with np.load(folder / FILE, allow_pickle=False) as stored:
            weights = {name: np.asarray(stored[name], np.float32) for name in stored.files}
        screen = Screen(
            weights=weights,
            threshold=float(entry["threshold"]),
            full_threshold=float(entry["full_threshold"]),
            size=(int(entry["size"][0]), int(entry["size"][1])),
            promise=float(entry["promise"]),
            bundle=str(entry["bundle"]),
            ranges={str(name): float(top) for name, top in entry["ranges"].items()},
            made=dict(entry.get("made", {})),
            figures=dict(entry.get("figures", {})),
        )
        wanted = str(entry["id"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise UsageError(f"The bundle {str(folder)!r} has no readable screen ({problem!r}). {again}") from None
    if entry.get("architecture") != ARCHITECTURE or {n: a.shape for n, a in weights.items()} != shapes():
        raise UsageError(f"The screen of the bundle {str(folder)!r} is not of the kind {ARCHITECTURE}. {again}")
    if screen.id != wanted:
        raise UsageError(
            f"The screen of the bundle {str(folder)!r} was damaged or changed: its card says {wanted!r} "
            f"but it has the id {screen.id!r}. {again}"
        )
    if screen.bundle != bundle:
        raise UsageError(
            f"The screen of the bundle {str(folder)!r} was distilled from the network {screen.bundle}, "
            f"but the bundle's is {bundle}. {again}"
        )
    return screen
