"""The networks and the bundles that hold their weights."""

from crater_ray.network.stardust import build

__all__ = ["build"]
