"""The engine of a scan: chosen, or that of the run it continues; said in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crater_ray.engines.choice import Choice, choose
from crater_ray.engines.registry import AUTO
from crater_ray.network.bundle import Bundle
from crater_ray.runs.run import find
from crater_ray.settings import ScanSettings
from crater_ray.storage.folder import open_folder
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console


def choose_engine(settings: ScanSettings, bundle: Bundle, console: Console) -> Choice:
    """The engine of a scan. Where none was named, what the run in `out` began with; said with its reason.

    Args:
        settings: of the scan.
        bundle: its network.
        console: where to say it.

    Raises:
        UsageError: it cannot be had, or the output's run.json cannot be read.
    """
    before = find(open_folder(settings.out, settings.access)) if settings.engine == AUTO else None
    begun = before.record["settings"].get("engine") if before and before.has_manifest() else None
    with console.status("comparing engines on this machine ..."):
        made = choose(settings.engine, bundle, screened=settings.screen, cluster=settings.address, begun=begun)
    for warning in made.warnings:
        console.print(f"Warning: {warning}", style="bold red", highlight=False, markup=False, soft_wrap=True)
    if made.why:
        say(console, f"engine {made.engine}: {made.why}")
    return made
