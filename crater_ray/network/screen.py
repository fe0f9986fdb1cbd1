"""The screen: a small network, distilled from the full one, that finds safely empty images at a fraction of its cost.

It looks at every image; those below its threshold get its verdict, the others go to the full network. Its threshold
is set on held-out images so that nearly all of the full network's candidates pass. It is part of a bundle
(`screen.npz`, and `screen` in the card); `python -m training distill` makes it.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network.stardust import DENSE, Weights

ARCHITECTURE = "screen-2"
FILE = "screen.npz"


class Convolution(NamedTuple):
    """A convolution and what follows it.

    Attributes:
        filters: how many.
        side: of its kernel in pixels.
        step: positions from one place of the kernel to the next. Steps of one keep the map's size; with longer ones
            the kernel begins at the first pixel of each step, and zeros follow the last ones.
        pooled: a 2x2 max-pool follows.
    """

    filters: int
    side: int = 3
    step: int = 1
    pooled: bool = False

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after the map, each way."""
        return (self.side // 2, self.side // 2) if self.step == 1 else (0, self.side - self.step)


CONVOLUTIONS: tuple[Convolution, ...] = (
    Convolution(48, side=8, step=4),
    Convolution(48, step=2),
    Convolution(48, pooled=True),
    Convolution(64),
    Convolution(64),
)
"""The last map has a position every `STEP` pixels, like the full network's. Layers at every second pixel or less would
be half of all work: the first convolution takes four pixels at a time, so that each weight of an 8-bit processor's
instructions meets one."""

STEP = math.prod(one.step * (2 if one.pooled else 1) for one in CONVOLUTIONS)
"""Pixels from one position of the map to the next."""

FEATURES = 32
"""What a last 1x1 convolution gives at each position: the screen's idea of the full network's last feature map."""

BORDER = (2, 3)
"""Positions left out before and after the map in each direction: what is left lies where the full network's do."""

SECOND_LOOK = 5
"""Positions of the full network's last map, each way, of a window that its second look covers."""
WINDOWS = 3
"""So many windows of an image it looks at, unless one is enough to pass or nothing suspicious is left."""

SAMPLE = 4
"""Mean and deviation of an image are taken over one pixel in this many each way."""


@dataclass(frozen=True)
class SecondLook:
    """The full network's look at windows around the screen's most suspicious positions, before it sees a whole image.

    What it finds in a window takes the place of what the screen had made of it; the screen's features are in the
    full network's units, so that the latter's dense layers can answer to both together.

    Attributes:
        start: images whose screening score reaches it get a second look; the others are empty. If an image does not
            pass, and what is outside the window reaches it too, the next window is looked at.
        threshold: of those, images whose score reaches it after a window go to the full network.
        ranges: of the full network's activations, for 8-bit numbers.
    """

    start: float
    threshold: float
    ranges: dict[str, float]


@dataclass(frozen=True)
class Screen:
    """A screen ready to be used.

    Attributes:
        weights: float32 arrays by name: `conv1/kernel` (rows, columns, in, out), `conv1/bias`, ..., `features/...`,
            and the dense layers `dense1/...` to `dense7/...` as in the full network.
        threshold: images whose screening score reaches it go to the full network, where there is no second look.
        full_threshold: the lowest threshold of a run for which the promise was measured.
        size: height and width in pixels of the images it was made for; others go to the full network unscreened.
        promise: share of the full network's candidates that passed on the held-out images.
        bundle: id of the network it was distilled from.
        ranges: largest value of each activation, for 8-bit numbers; see `crater_ray.engines.openvino_screen`.
        second_look: where it is computed in 8-bit numbers, the way to the full network leads over it; None for none.
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
    second_look: SecondLook | None = None
    made: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all that decides which images pass."""
        decides = (ARCHITECTURE, self.bundle, self.threshold, tuple(self.size), sorted(self.ranges.items()))
        digest = hashlib.sha256(repr(decides).encode())
        if self.second_look:
            second = self.second_look
            digest.update(repr((second.start, second.threshold, sorted(second.ranges.items()))).encode())
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
            "second_look": asdict(self.second_look) if self.second_look else None,
            "made": self.made,
            "figures": self.figures,
        }

    def save(self, folder: Path) -> None:
        """Write the weights into a bundle's folder; the bundle's card holds the rest."""
        np.savez(folder / FILE, **{name: self.weights[name] for name in sorted(self.weights)})  # type: ignore[arg-type]


def positions(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the screen's map of an image of that height and width in pixels."""
    return size[0] // STEP - sum(BORDER), size[1] // STEP - sum(BORDER)


def shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each weight by name."""
    found: dict[str, tuple[int, ...]] = {}
    channels = 1
    for number, one in enumerate(CONVOLUTIONS, start=1):
        kernel = (one.side, one.side, channels, one.filters)
        found |= {f"conv{number}/kernel": kernel, f"conv{number}/bias": (one.filters,)}
        channels = one.filters
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
    if entry.get("architecture") != ARCHITECTURE:
        raise UsageError(f"The screen of the bundle {str(folder)!r} is not of the kind {ARCHITECTURE}. {again}")
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
            ranges=_numbers(entry["ranges"]),
            second_look=_second_look(entry["second_look"]),
            made=dict(entry.get("made", {})),
            figures=dict(entry.get("figures", {})),
        )
        wanted = str(entry["id"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
        raise UsageError(f"The bundle {str(folder)!r} has no readable screen ({problem!r}). {again}") from None
    if {n: a.shape for n, a in weights.items()} != shapes():
        raise UsageError(f"The screen of the bundle {str(folder)!r} is not of the kind {ARCHITECTURE}. {again}")
    if screen.id != wanted:
        raise UsageError(
            f"The screen of the bundle {str(folder)!r} was damaged or changed: its card says {wanted!r} "
            f"but it has the id {screen.id!r}. {again}"
        )
    if screen.second_look and min(positions(screen.size)) < SECOND_LOOK:
        raise UsageError(
            f"The screen of the bundle {str(folder)!r} has a second look, but its images of {screen.size[0]}x"
            f"{screen.size[1]} pixels are smaller than a window. {again}"
        )
    if screen.bundle != bundle:
        raise UsageError(
            f"The screen of the bundle {str(folder)!r} was distilled from the network {screen.bundle}, "
            f"but the bundle's is {bundle}. {again}"
        )
    return screen


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(number) for name, number in dict(entry).items()}


def _second_look(entry: Mapping[str, Any] | None) -> SecondLook | None:
    if entry is None:
        return None
    return SecondLook(float(entry["start"]), float(entry["threshold"]), _numbers(entry["ranges"]))
