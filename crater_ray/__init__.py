"""crater-ray scans archives of microscope images for tiny impact craters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crater_ray.results.open_run import Results, open_run

__all__ = ["Results", "open_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is exported only once it is asked for: `crater-ray --help` needs none of it."""
    if name in __all__:
        from crater_ray.results import open_run as results

        return getattr(results, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
