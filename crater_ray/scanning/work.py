"""The work of a scan: the run, its network and the settings that all parts of the pipeline share."""

from __future__ import annotations

from dataclasses import dataclass, field

from crater_ray.images.picture import Reading
from crater_ray.network.bundle import Bundle
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access


@dataclass(frozen=True)
class Work:
    """What a pipeline works with.

    Attributes:
        run: where shards come from and parts go to.
        access: how to reach the images.
        bundle, bundle_id: the network, and how the rows name it.
        engine: name of a resolved engine.
        threshold: from which score an image is a candidate.
        screened: whether the bundle's screen looks first.
        reading: how images are read.
        planted: whether addresses end in recipes of craters to plant.
    """

    run: Run
    access: Access
    bundle: Bundle
    bundle_id: str
    engine: str
    threshold: float
    screened: bool = False
    reading: Reading = field(default_factory=Reading)
    planted: bool = False
