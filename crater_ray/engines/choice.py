"""Which engine `--engine` stands for: the one that is named, or the quickest that was measured to find the same."""

from __future__ import annotations

import os

from crater_ray.engines import processor
from crater_ray.engines.registry import AUTO, find
from crater_ray.network.bundle import Bundle

KEPT_SHARE = 0.995
"""Share of float32's candidates that an engine must have been measured to keep, to be chosen unasked."""
EVERYWHERE = "keras"
UNASKED = ("keras-bf16",)
"""What `auto` tries on processors, before the one that runs everywhere."""
UNASKED_SCREENED = ("openvino", *UNASKED)
"""What it tries behind a screen: few images reach the full network, and those should cost little."""


def resolve(name: str, bundle: Bundle | None = None, *, screened: bool = False, cluster: str | None = None) -> str:
    """The engine that a name stands for.

    `auto` is, on a machine without a GPU, the first of `UNASKED` (`UNASKED_SCREENED` with a screen) that is quick
    there, is installed, and was measured to keep `KEPT_SHARE` of the candidates, as the bundle's card says. Otherwise,
    and on clusters, it is `EVERYWHERE`.

    Args:
        name: as the user gives it.
        bundle: the network; checked for what the engine needs of it.
        screened: whether a screen goes before it.
        cluster: address of a Ray cluster, whose processors are not known here; RAY_ADDRESS when None.

    Raises:
        UsageError: there is no such engine, what it needs is not installed, or not in the bundle.
    """
    if name != AUTO:
        find(name).check(bundle)
        return name
    elsewhere = bool(cluster or os.environ.get("RAY_ADDRESS"))
    if bundle is None or elsewhere or processor.has_gpu():
        return EVERYWHERE
    for tried in UNASKED_SCREENED if screened else UNASKED:
        entry = find(tried)
        kept = float(entry.figures(bundle).get("kept_share", 0.0))
        if entry.installed and kept >= KEPT_SHARE and entry.quick_here():
            return tried
    return EVERYWHERE
