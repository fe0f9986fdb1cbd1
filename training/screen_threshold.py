"""The screen's threshold: as high as it can be while nearly all of the full network's candidates still pass."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from crater_ray.engine import computes_in_bfloat16
from crater_ray.engine.screens import QUANTISED, KerasScreen, OpenVinoScreen, ScreenEngine, screen_graph
from crater_ray.errors import UsageError
from crater_ray.screen import Screen
from training.intervals import wilson
from training.scoring import probability, to_logit
from training.teacher import Taught

TAIL = 0.1
"""Share of the candidates, those with the lowest screening scores, whose tail is carried on beyond the lowest."""
TAIL_VALUES = 30.0
"""So many of them are enough: from more candidates a smaller share is taken."""
ENOUGH = 3.0
"""So many candidates beyond the wanted share make it unnecessary to carry on."""


@dataclass(frozen=True)
class Promise:
    """What a screen has to keep, on which archive.

    Attributes:
        keep: share of the full network's candidates.
        craters: share of the archive's images that hold a crater; held-out images are weighed to it.
    """

    keep: float = 0.999
    craters: float = 0.02


def set_threshold(screen: Screen, some: np.ndarray, held_out: Sequence[Taught], promise: Promise) -> Screen:
    """Give a screen its ranges for 8-bit numbers, its threshold and its figures.

    Every way in which the screen can be computed here (float32, bfloat16, 8-bit) must keep the promise; the lowest
    of their thresholds counts.

    Args:
        screen: without a threshold.
        some: (n, height, width) uint8 images to take the ranges from.
        held_out: what the full network says of images that were not learnt from.
        promise: what to keep.

    Raises:
        UsageError: the full network has no candidate among the held-out images.
    """
    screen = replace(screen, ranges=_ranges(screen, some))
    full = np.concatenate([one.logit for one in held_out])
    label = np.concatenate([one.data.column("label").astype(float) for one in held_out])
    weight = weigh(label, promise.craters)
    candidate = probability(full) >= screen.full_threshold
    if not candidate.any():
        raise UsageError(
            f"The full network has no candidate (score from {screen.full_threshold:g} on) among the {len(full):,} "
            "held-out images: there is nothing to set the threshold on. Give more, with craters among them."
        )
    said = {name: _logits(engine, held_out) for name, engine in _ways(screen).items()}
    cuts = {
        name: tail_quantile(logit[candidate], weight[candidate], 1.0 - promise.keep) for name, logit in said.items()
    }
    threshold = float(probability(np.asarray(min(cuts.values()))))
    cut = np.float32(threshold)
    figures: dict[str, Any] = {
        "held_out_images": len(full),
        "candidates": int(candidate.sum()),
        "candidate_share": _share(candidate, weight),
        "asked": asdict(promise),
        "ways": {},
    }
    for name, logit in said.items():
        passed = np.asarray(probability(logit), np.float32) >= cut
        kept = int((passed & candidate).sum())
        figures["ways"][name] = {
            "kept": kept,
            "kept_share": _share(passed[candidate], weight[candidate]),
            "kept_share_interval": [round(end, 5) for end in wilson(kept, int(candidate.sum()))],
            "kept_of_crater_candidates": _share(passed[candidate & (label == 1)]),
            "kept_of_blank_candidates": _share(passed[candidate & (label == 0)]),
            "pass_share": _share(passed, weight),
            "pass_share_of_blanks": _share(passed[label != 1]),
            "correlation_with_full": round(float(np.corrcoef(logit, full)[0, 1]), 4),
        }
    return replace(screen, threshold=threshold, figures=figures)


def weigh(label: np.ndarray, craters: float) -> np.ndarray:
    """A weight for each image, so that craters are `craters` of all; even ones where a label is unknown (negative)."""
    weight = np.ones(len(label))
    if (label < 0).any() or not (label == 1).any() or not (label == 0).any():
        return weight
    weight[label == 1] = craters / (label == 1).mean()
    weight[label == 0] = (1.0 - craters) / (label == 0).mean()
    return weight


def tail_quantile(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    """The value below which `share` of what `values` are drawn from lies.

    With few values the quantile lies beyond the lowest of them. The lowest tenth, or 30 if that is fewer, are then
    taken for an exponential tail and carried on (peaks over threshold: Pickands 1975, Annals of Statistics 3, 119,
    with shape 0). Where weights differ much, those of small weight say little: values are counted by their effective
    number (Kish 1965, Survey Sampling).

    Args:
        values: (n,), at least one.
        weight: (n,), positive.
        share: wanted, 0..1.
    """
    order = np.argsort(values)
    values, weight = values[order], weight[order] / weight.sum()
    below = np.cumsum(weight)
    found = float(values[min(int(np.searchsorted(below, share, side="right")), len(values) - 1)])
    effective = 1.0 / float(np.square(weight).sum())
    if share * effective >= ENOUGH:
        return found
    start = min(int(np.searchsorted(below, min(TAIL, TAIL_VALUES / effective))), len(values) - 1)
    excess = values[start] - values[: start + 1]
    mean = float(np.average(excess, weights=weight[: start + 1])) if start else float(np.std(values))
    return min(found, float(values[start]) - mean * float(np.log(max(below[start], share) / share)))


def _ways(screen: Screen) -> dict[str, ScreenEngine]:
    ways: dict[str, ScreenEngine] = {"keras, float32": KerasScreen(screen, dtype="float32")}
    if computes_in_bfloat16():
        ways["keras, bfloat16"] = KerasScreen(screen, dtype="mixed_bfloat16")
    if screen.ranges:
        ways["openvino, int8"] = OpenVinoScreen(screen)
    return ways


def _ranges(screen: Screen, some: np.ndarray) -> dict[str, float]:
    """The largest value of each activation; none where openvino is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return {}
    import openvino as ov

    compiled = ov.Core().compile_model(
        screen_graph(screen, activations=True), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    ranges = dict.fromkeys(QUANTISED, 0.0)
    for image in some:
        answer = compiled(image[None])
        for name in QUANTISED:
            ranges[name] = max(ranges[name], float(answer[name].max()))
    return ranges


def _logits(engine: ScreenEngine, held_out: Sequence[Taught]) -> np.ndarray:
    scores = []
    for one in held_out:
        for start in range(0, len(one), 32):
            scores.append(engine.score(one.data.images(np.arange(start, min(start + 32, len(one))))))
    return to_logit(np.clip(np.concatenate(scores).astype(np.float64), 1e-30, 1.0 - 1e-7))


def _share(mask: np.ndarray, weight: np.ndarray | None = None) -> float | None:
    return round(float(np.average(mask, weights=weight)), 5) if len(mask) else None
