"""Which engine `--engine` stands for: the one that is named, or the quickest here that finds what float32 finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from crater_ray.engines import processor
from crater_ray.engines.registry import AUTO, ENGINES, find
from crater_ray.engines.trial import TrialFailed, Tried, tried_here
from crater_ray.network.bundle import Bundle

KEPT_SHARE = 0.995
"""Share of float32's candidates that an engine must have been measured to keep, to be chosen unasked."""
EVERYWHERE = "keras"
"""What computes on GPUs, on clusters, and where nothing else can."""
UNASKED = ("openvino-float", "openvino-bf16", "openvino")
"""What `auto` tries on processors, the most exact first. None of them imports TensorFlow."""
WITHOUT = ("keras-bf16",)
"""What it takes where none of these is installed."""
WORTH_IT = 1.05
"""An engine that is less exact must be so many times as quick."""


@dataclass(frozen=True)
class Choice:
    """An engine, and why it is the one.

    Attributes:
        engine: its name.
        why: in a few words; None where the user named it.
        tried: what a trial on this machine said of it and of others.
        warnings: what is wrong with this machine or with its engines, one sentence each.
    """

    engine: str
    why: str | None = None
    tried: tuple[Tried, ...] = ()
    warnings: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {
            "engine": self.engine,
            "why": self.why or "as asked",
            "tried": [asdict(one) for one in self.tried],
            "warnings": list(self.warnings),
        }


def resolve(name: str, bundle: Bundle | None = None, *, screened: bool = False, cluster: str | None = None) -> str:
    """The name of the engine that a name stands for; see `choose`."""
    return choose(name, bundle, screened=screened, cluster=cluster).engine


def choose(
    name: str,
    bundle: Bundle | None = None,
    *,
    screened: bool = False,
    cluster: str | None = None,
    begun: str | None = None,
) -> Choice:
    """The engine that a name stands for.

    `auto` goes on with the engine that a run began with. For a new one it is, on a machine without a GPU, the quickest
    of `UNASKED` that is installed, was measured to keep `KEPT_SHARE` of the candidates, as the bundle's card says, or
    computes in float32, and finds in a trial on this machine what float32 finds. Otherwise, and on clusters, it is
    `EVERYWHERE`.

    Args:
        name: as the user gives it.
        bundle: the network; checked for what the engine needs of it.
        screened: whether a screen goes before it.
        cluster: address of a Ray cluster, whose processors are not known here; RAY_ADDRESS when None.
        begun: the engine of the run that is continued, if one is.

    Raises:
        UsageError: there is no such engine, what it needs is not installed, or not in the bundle.
    """
    if name != AUTO:
        find(name).check(bundle)
        return Choice(name)
    if begun in ENGINES and bundle is not None:
        find(begun).check(bundle)
        return Choice(begun, "as the run began")
    if bundle is None:
        return Choice(EVERYWHERE, "it runs everywhere")
    if cluster or os.environ.get("RAY_ADDRESS"):
        return Choice(EVERYWHERE, "it runs on every machine of a cluster")
    if processor.has_gpu():
        return Choice(EVERYWHERE, "it computes on the GPU")
    fit = [name for name in UNASKED if _may_be_chosen(name, bundle)]
    if not fit:
        other = next((name for name in WITHOUT if _may_be_chosen(name, bundle)), EVERYWHERE)
        return Choice(other, f"{find(UNASKED[0]).package} is not installed")
    if len(fit) == 1 and not screened:
        return Choice(fit[0], f"the bundle's card has no others that keep {KEPT_SHARE:.1%} of float32's candidates")
    try:
        tried = tried_here(bundle, fit, screened)
    except TrialFailed as problem:
        return Choice(EVERYWHERE, "the others failed in a trial", warnings=(f"The trial of {fit} failed: {problem}.",))
    return _quickest(tried)


def _may_be_chosen(name: str, bundle: Bundle) -> bool:
    entry = find(name)
    kept = entry.figures(bundle).get("kept_share", 0.0)
    agrees = entry.numbers == "float32" or (isinstance(kept, int | float) and kept >= KEPT_SHARE)
    ready = not entry.calibrated or bool(entry.figures(bundle).get("ranges"))
    return entry.installed and agrees and ready and entry.quick_here()


def _quickest(tried: Sequence[Tried]) -> Choice:
    warnings = tuple(f"--engine {one.engine} is not used on this machine: {one.unfit}." for one in tried if one.unfit)
    fit = [one for one in tried if not one.unfit]
    if not fit:
        return Choice(EVERYWHERE, "no other finds here what float32 finds", tuple(tried), warnings)
    best = fit[0]
    for one in fit[1:]:
        if one.images_per_second > WORTH_IT * best.images_per_second:
            best = one
    rates = ", ".join(f"{one.engine} {one.images_per_second:.0f}" for one in fit if one is not best)
    why = f"quickest here with {best.images_per_second:.0f} images/s a core" + (f" ({rates})" if rates else "")
    return Choice(best.engine, why, tuple(tried), warnings)
