"""What Ray does for a scan: tasks that load and localise on any processor, and an actor that scores on each device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crater_ray.engines.base import AT_ONCE
from crater_ray.scanning.cluster import Device
from crater_ray.scanning.loader import load
from crater_ray.scanning.localization import Unlocalized, localize
from crater_ray.scanning.scorer import Scorer
from crater_ray.scanning.work import Work


class Tasks:
    """Starts tasks and actors. Every method returns at once, with references to what will be there later.

    Args:
        work: what the scan works with; tasks find it in Ray's object store.
    """

    def __init__(self, work: Work) -> None:
        import ray

        self._work = work
        self._access = ray.put(work.access)
        self._reading = ray.put(work.reading)
        self._bundle = ray.put(work.bundle)
        self._weights = ray.put(work.bundle.weights)
        self._scorer = ray.remote(Scorer)
        self._load = ray.remote(load).options(num_cpus=1, num_returns=2, max_retries=0)
        self._localize = ray.remote(localize).options(num_cpus=1, max_retries=0)

    def load(self, uris: Sequence[str], sizes: Sequence[int | None], last_try: bool) -> tuple[Any, Any]:
        """Load images; see `crater_ray.scanning.loader.load`.

        Returns:
            References to what became of each image, and to the pixels.
        """
        summary, pixels = self._load.remote(uris, self._access, last_try, sizes, self._reading, self._work.planted)
        return summary, pixels

    def localize(self, pixels: Any, unlocalized: Unlocalized) -> Any:
        """Localise candidates of a scored batch; see `crater_ray.scanning.localization.localize`."""
        return self._localize.remote(pixels, unlocalized, self._weights)

    def create_scorer(self, device: Device) -> Any:
        """Start the actor that scores on a device."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # A scorer reserves no processor: it would starve the loaders that feed it.
        options: dict[str, Any] = {"num_cpus": 0, "num_gpus": 1 if device.gpu else 0, "max_restarts": 0}
        options["max_concurrency"] = AT_ONCE
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(device.node, soft=False)
        return self._scorer.options(**options).remote(
            self._bundle,
            self._work.engine,
            self._work.threshold,
            device.threads or None,
            self._work.screened,
            not device.gpu,  # a GPU has more to do than to wait for processors to localise
        )
