"""What the registry knows of an engine before it is made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from crater_ray.errors import UsageError

if TYPE_CHECKING:
    from crater_ray.engines.base import Engine, ScreenEngine
    from crater_ray.network.bundle import Bundle
    from crater_ray.network.screen import Screen


@dataclass(frozen=True)
class Entry:
    """One way to compute a bundle's network.

    Attributes:
        name: what `--engine` calls it.
        numbers: in what the convolutions are computed: `float32`, `bfloat16`, `int8`, or `none`.
        about: one line for people.
        kind: the devices it runs on: processors, GPUs, or whichever is there.
        make: makes it ready on this process's device, given the bundle and the processor threads (all when None).
        make_screen: makes the screen ready that goes before it.
        package: what has to be installed for it beyond crater-ray itself.
        install: how that is installed.
        card: where a bundle's card keeps what was measured of it, under `figures`.
        exact: the engine in float32 that it is compared with, and that confirms its close calls.
        calibrated: it needs the ranges of activations, which the card keeps there too.
        quick_here: whether this machine is one on which `auto` may choose it.
        computes: it computes the bundle's network; else rows carry its own name instead of the bundle's id.
    """

    name: str
    numbers: Literal["float32", "bfloat16", "int8", "none"]
    about: str
    kind: Literal["cpu", "gpu", "any"]
    make: Callable[[Bundle, int | None], Engine]
    make_screen: Callable[[Bundle, Screen, int | None], ScreenEngine]
    package: str | None = None
    install: str | None = None
    card: str | None = None
    exact: str | None = None
    calibrated: bool = False
    quick_here: Callable[[], bool] = lambda: True
    computes: bool = True

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        return self.package is None or importlib.util.find_spec(self.package) is not None

    def figures(self, bundle: Bundle) -> Mapping[str, Any]:
        """What the card says of it; nothing where it was not measured."""
        found = bundle.figures.get(self.card) if self.card else None
        return found if isinstance(found, Mapping) else {}

    def check(self, bundle: Bundle | None = None) -> None:
        """Raises UsageError, with the cure, unless it can be made here, of this bundle if one is given."""
        if not self.installed:
            raise UsageError(
                f"--engine {self.name} needs the package {self.package}, which is not installed: {self.install}. "
                "Or use --engine keras."
            )
        if self.calibrated and bundle is not None:
            self.ranges(bundle)

    def ranges(self, bundle: Bundle) -> dict[str, float]:
        """The calibration that the card holds: the largest value of each activation.

        Raises:
            UsageError: it holds none.
        """
        found = self.figures(bundle).get("ranges")
        if not isinstance(found, Mapping) or not found:
            raise UsageError(
                f"The bundle {bundle.name!r} holds no calibration for --engine {self.name}. Make one with "
                f"`crater-ray calibrate --bundle DIR --engine {self.name} --write`, or use --engine {self.exact}."
            )
        return {str(name): float(top) for name, top in found.items()}

    def bundle_name(self, bundle: Bundle) -> str:
        """What rows say in the column `bundle`."""
        return bundle.id if self.computes else self.name
