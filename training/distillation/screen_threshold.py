"""The screen's threshold: as high as it can be while nearly all of the full network's candidates still pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from crater_ray.engines.base import ScreenEngine
from crater_ray.engines.keras_screen import KerasScreen
from crater_ray.engines.openvino_screen import QUANTISED, OpenVinoScreen, screen_graph
from crater_ray.engines.processor import computes_in_bfloat16
from crater_ray.engines.registry import find
from crater_ray.errors import UsageError
from crater_ray.network.bundle import Bundle
from crater_ray.network.screen import SECOND_LOOK, Screen, SecondLook, positions
from training.distillation.answers import Answered
from training.evaluation.intervals import wilson
from training.network.scoring import probability, to_logit

TAIL = 0.1
"""Share of the candidates, those with the lowest screening scores, whose tail is carried on beyond the lowest."""
TAIL_VALUES = 30.0
"""So many of them are enough: from more candidates a smaller share is taken."""
ENOUGH = 3.0
"""So many candidates beyond the wanted share make it unnecessary to carry on."""
BEFORE = 0.6
"""Share of the candidates that may be missed which goes to what the screen finds empty at once, where there is a second
look: of 0.3 to 0.9 the share with which the shipped screen and its windows cost least."""
SLACK = 1e-3
"""In the logit: the second look starts so much below the candidate that decides, lest rounding leave it out."""
INT8 = "openvino, int8"
NONE_PASSES = 2.0


@dataclass(frozen=True)
class Promise:
    """What a screen has to keep, on which archive.

    Attributes:
        keep: share of the full network's candidates.
        craters: share of the archive's images that hold a crater; held-out images are weighed to it.
    """

    keep: float = 0.999
    craters: float = 0.02


def set_threshold(
    bundle: Bundle, screen: Screen, some: np.ndarray, held_out: Sequence[Answered], promise: Promise
) -> Screen:
    """Give a screen its ranges for 8-bit numbers, its thresholds and its figures.

    Every way in which the screen can be computed here (float32, bfloat16, 8-bit) must keep the promise, of all
    candidates and of those alone that hold a crater, which are few in an archive; the lowest threshold counts. In
    8-bit numbers there is a second look, if the network has a calibration for it; the promise is then divided between
    what is empty at once and what is so after that look.

    Args:
        bundle: the full network.
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

    craters = candidate & (label == 1)

    def cut(logit: np.ndarray, missed: float, among: np.ndarray = candidate) -> float:
        cuts = [tail_quantile(logit[among], weight[among], missed)]
        if (which := among & craters).any():
            cuts.append(tail_quantile(logit[which], weight[which], missed))
        return min(cuts)

    said = {name: _logits(engine, held_out) for name, engine in _ways(bundle, screen).items()}
    missed = 1.0 - promise.keep
    threshold = _score(min(cut(logit, missed) for logit in said.values()))
    passed = {name: _reaches(logit, threshold) for name, logit in said.items()}
    looked_at_twice: float | None = None
    if second := _second_look(bundle, screen):
        # A graph that also gives windows is put together otherwise and rounds otherwise: its own answers count.
        first = _logits(OpenVinoScreen(bundle, replace(screen, second_look=second)), held_out)
        second = replace(second, start=_score(cut(first, BEFORE * missed) - SLACK))
        begun = _reaches(first, second.start)
        after = _logits(OpenVinoScreen(bundle, replace(screen, second_look=second)), held_out)
        second = replace(second, threshold=_score(cut(after, (1.0 - BEFORE) * missed, candidate & begun)))
        looked_at_twice = _share(begun, weight)
        said[INT8], passed[INT8] = after, begun & _reaches(after, second.threshold)
    figures: dict[str, Any] = {
        "held_out_images": len(full),
        "candidates": int(candidate.sum()),
        "candidate_share": _share(candidate, weight),
        "asked": asdict(promise),
        "second_look_share": looked_at_twice,
        "ways": {},
    }
    for name, logit in said.items():
        kept = int((passed[name] & candidate).sum())
        figures["ways"][name] = {
            "kept": kept,
            "kept_share": _share(passed[name][candidate], weight[candidate]),
            "kept_share_interval": [round(end, 5) for end in wilson(kept, int(candidate.sum()))],
            "kept_of_crater_candidates": _share(passed[name][candidate & (label == 1)]),
            "kept_of_blank_candidates": _share(passed[name][candidate & (label == 0)]),
            "pass_share": _share(passed[name], weight),
            "pass_share_of_blanks": _share(passed[name][label != 1]),
            "correlation_with_full": round(float(np.corrcoef(logit, full)[0, 1]), 4),
        }
    return replace(screen, threshold=threshold, second_look=second, figures=figures)


def _score(logit: float) -> float:
    return float(probability(np.asarray(logit)))


def _reaches(logit: np.ndarray, threshold: float) -> np.ndarray:
    return np.asarray(probability(logit), np.float32) >= np.float32(threshold)


def _second_look(bundle: Bundle, screen: Screen) -> SecondLook | None:
    """One that starts with no image and that none passes: with a lower start all windows are looked at.

    None where screen or network cannot be computed in 8-bit numbers, the network does not normalise as the screen
    does, or images are too small.
    """
    wide = min(positions(screen.size)) >= SECOND_LOOK
    if not (screen.ranges and find("openvino").figures(bundle) and bundle.preprocessing == "sigma-clip" and wide):
        return None
    return SecondLook(NONE_PASSES, NONE_PASSES, find("openvino").ranges(bundle))


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


def _ways(bundle: Bundle, screen: Screen) -> dict[str, ScreenEngine]:
    ways: dict[str, ScreenEngine] = {"keras, float32": KerasScreen(screen, dtype="float32")}
    if computes_in_bfloat16():
        ways["keras, bfloat16"] = KerasScreen(screen, dtype="mixed_bfloat16")
    if screen.ranges:
        ways[INT8] = OpenVinoScreen(bundle, screen)
    return ways


def _ranges(screen: Screen, some: np.ndarray) -> dict[str, float]:
    """The largest value of each activation; none where openvino is not installed."""
    if not find("openvino").installed:
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


def _logits(engine: ScreenEngine, held_out: Sequence[Answered]) -> np.ndarray:
    scores = []
    for one in held_out:
        for start in range(0, len(one), 32):
            scores.append(engine.look(one.data.images(np.arange(start, min(start + 32, len(one))))).scores)
    return to_logit(np.clip(np.concatenate(scores).astype(np.float64), 1e-30, 1.0 - 1e-7))


def _share(mask: np.ndarray, weight: np.ndarray | None = None) -> float | None:
    return round(float(np.average(mask, weights=weight)), 5) if len(mask) else None
