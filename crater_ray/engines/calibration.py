"""Calibration: ranges for 8-bit numbers, and how an engine with them agrees with float32, for the bundle's card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from crater_ray.engines.agreement import Agreement, compare
from crater_ray.engines.choice import KEPT_SHARE
from crater_ray.engines.registry import create, find
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.finder import filled_up

REFERENCE = "keras"
"""What every engine is compared with: the network itself in float32."""
CONFIRMED_AT_MOST = 0.1
"""Of the images. Where more would have to be computed again, an engine is not worth having."""


@dataclass(frozen=True)
class Calibrated:
    """What was measured of an engine with a bundle.

    Attributes:
        engine: its name.
        ranges: of the activations that become 8-bit numbers; None for an engine without.
        agreement: with `REFERENCE`.
        confirm: scores this near the threshold were computed again in float32.
        confirmed_share: of the images, how many that were.
    """

    engine: str
    ranges: dict[str, float] | None
    agreement: Agreement
    confirm: float
    confirmed_share: float = 0.0

    def entry(self) -> dict[str, Any]:
        """What the card says of it."""
        kept = {"kept_share": self.agreement.kept_share, "confirm": self.confirm}
        kept["confirmed_share"] = round(self.confirmed_share, 4)
        return {"ranges": self.ranges, **asdict(self.agreement), **kept}

    def recorded(self, bundle: Bundle, measured_on: dict[str, Any]) -> Bundle:
        """The same bundle, whose card says this; its id stays.

        Args:
            bundle: the network that was measured.
            measured_on: on which images and how; JSON values.

        Raises:
            UsageError: the engine has no place in the card, or the images show no agreement.
        """
        card = find(self.engine).card
        if card is None:
            raise UsageError(f"Nothing is written: the card keeps no figures of --engine {self.engine}.")
        if self.agreement.candidates == 0:
            raise UsageError(
                f"Nothing is written: {REFERENCE} has no candidate among these images, so they show no agreement. "
                "Give more images, or ones with craters."
            )
        return replace(bundle, figures={**bundle.figures, card: {**self.entry(), "measured_on": measured_on}})


def measure(
    bundle: Bundle,
    engine: str,
    calibrated_on: Iterable[np.ndarray],
    compared_on: Iterable[np.ndarray],
    threshold: float | None = None,
    confirm: float | None = None,
    quantile: float = 1.0,
    layers: int | None = None,
) -> Calibrated:
    """Calibrate an engine if it needs that, then compare it with float32.

    Args:
        bundle: the network; what its card says of the engine is not used.
        engine: its name.
        calibrated_on: (n, height, width) uint8 images, one size per batch.
        compared_on: other ones.
        threshold: from which score an image is a candidate; the bundle's typical one when None.
        confirm: have scores this near the threshold computed again in float32; when None as near as it takes to keep
            `KEPT_SHARE` of the candidates, unless that were more than `CONFIRMED_AT_MOST` of the images.
        quantile, layers: see `calibrate`.

    Raises:
        UsageError: the engine cannot be had here.
    """
    entry = find(engine)
    entry.check()
    ranges = calibrate(bundle, calibrated_on, quantile, layers) if entry.calibrated else None
    threshold = bundle.typical_threshold if threshold is None else threshold
    if entry.card:
        tried = {**({"ranges": ranges} if ranges else {}), "confirm": confirm or 0.0}
        bundle = replace(bundle, figures={**bundle.figures, entry.card: tried})
    other = create(engine, bundle, threshold=threshold)
    found = compare(create(REFERENCE, bundle), other, compared_on, bundle, threshold)
    if confirm is not None or entry.exact is None:
        again = float(found.close(threshold, confirm).mean()) if confirm else 0.0
        return Calibrated(engine, ranges, found.agreement(threshold), confirm or 0.0, again)
    confirm = found.least_confirm(threshold, KEPT_SHARE)
    again = float(found.close(threshold, confirm).mean()) if confirm else 0.0
    if again > CONFIRMED_AT_MOST:
        confirm = again = 0.0
    return Calibrated(engine, ranges, found.agreement(threshold, confirm), confirm, again)


def calibrate(
    bundle: Bundle, batches: Iterable[np.ndarray], quantile: float = 1.0, layers: int | None = None
) -> dict[str, float]:
    """Find the range of each activation that becomes an 8-bit number.

    Args:
        bundle: the network.
        batches: (n, height, width) uint8 images such as will be scanned, with craters among them.
        quantile: the share of an image's values that a range covers; the largest over all images is taken. Craters
            are the extremes: below 1 their values are cut.
        layers: how many activations, from the first convolution's on; fewer cost time and come nearer to full
            precision.

    Returns:
        Ranges by name, as `crater_ray.engines.openvino_engine.graph_of` takes them.

    Raises:
        UsageError: openvino is not installed.
    """
    find("openvino").check()
    import openvino as ov

    from crater_ray.engines.openvino_engine import graph_of, rounded_activations
    from crater_ray.engines.openvino_finder import OF_HALF

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(graph_of(bundle, activations=True), "CPU", settings)
    names = rounded_activations(bundle)[:layers]
    ranges = dict.fromkeys(names, 0.0)
    for images in batches:
        for image in images:
            answer = compiled(filled_up(image[None], bundle.weights) if bundle.gives_maps else image[None])
            for output in compiled.outputs:
                name = output.get_any_name().removesuffix(OF_HALF)
                if name not in ranges:
                    continue
                values = answer[output]
                # One value in 16 tells a quantile as well, and sixteen times as fast.
                top = values.max() if quantile >= 1 else np.quantile(values.reshape(-1)[::16], quantile)
                ranges[name] = max(ranges[name], float(top))
    return ranges
