"""Tuning an older method on the training split, and using it in the same evaluation as the networks."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crater_ray.errors import UsageError
from training.data_sets import seeds
from training.data_sets.dataset import DataSet
from training.evaluation.evaluate import Contender
from training.evaluation.intervals import budget_threshold
from training.evaluation.measures import BUDGET
from training.older_methods.hough import HoughSettings
from training.older_methods.hough import respond as hough
from training.older_methods.template_matching import TemplateSettings, choose
from training.older_methods.template_matching import respond as match

GRIDS: dict[str, list[dict[str, Any]]] = {
    "template-matching": [
        {"denoise_px": denoise, "surround": surround}
        for denoise, surround in itertools.product((0.5, 1.0), (1.25, 1.6))
    ],
    "canny-hough": [
        {"smooth_px": smooth, "high_percentile": high, "low_percentile": high - 7.0}
        for smooth, high in itertools.product((1.0, 1.7, 2.5), (93.0, 97.0))
    ],
}
"""What is tried for each method."""

Respond = Callable[[np.ndarray], np.ndarray]


def tune(
    method: str,
    train: DataSet,
    path: Path,
    *,
    images: int = 200,
    workers: int = 2,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Choose the settings with the best recall at the review budget on training images, and write them as JSON.

    Responses at different sizes are made comparable by their mean and spread on training blanks: small templates
    correlate well with noise. That is more than the published methods did, and in their favour.

    Args:
        method: `template-matching` or `canny-hough`.
        train: training split, whole images.
        path: JSON file to write.
        images: how many of the training images to use.
        workers: processes at once.
        say: is told one line for each setting tried.

    Raises:
        UsageError: there is no such method, or the data set is not of the training split.
    """
    if method not in GRIDS:
        raise UsageError(f"--method must be one of {', '.join(GRIDS)}; received: {method!r}")
    if train.card.get("split") != "train":
        raise UsageError(f"Methods are tuned on the training split; received: {train.card.get('split')!r}")
    rows = np.arange(min(images, len(train)))
    label, pixels = train.column("label")[rows], train.images(rows)
    best: dict[str, Any] = {"recall_on_training": -1.0}
    for chosen in GRIDS[method]:
        peaks, seconds = run(partial(respond, method, chosen, int(train.card.get("split_seed", 0))), pixels, workers)
        blank = peaks[label == 0, :, 0]
        mean, spread = blank.mean(axis=0), np.maximum(blank.std(axis=0), 1e-6)
        score = ((peaks[:, :, 0] - mean) / spread).max(axis=1)
        recall = float((score[label == 1] >= budget_threshold(score[label == 0], BUDGET)).mean())
        say(f"{method} {chosen}: recall {recall:.1%} at 4% of training blanks, {seconds:.2f} s per image and core")
        if recall > best["recall_on_training"]:
            best = {
                "method": method,
                "settings": chosen,
                "split_seed": int(train.card.get("split_seed", 0)),
                "mean": mean.tolist(),
                "spread": spread.tolist(),
                "recall_on_training": recall,
                "seconds_per_image_and_core": seconds,
                "training_data": train.digest,
                "training_images": len(rows),
            }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    return best


def contender(path: Path, *, workers: int = 2) -> Contender:
    """A tuned method as a contender for `training.evaluation.evaluate`.

    Raises:
        UsageError: the file holds no tuned method.
    """
    try:
        tuned = json.loads(path.read_text(encoding="utf-8"))
        mean, spread = np.asarray(tuned["mean"]), np.asarray(tuned["spread"])
        method, chosen, split_seed = tuned["method"], tuned["settings"], tuned["split_seed"]
    except (OSError, ValueError, KeyError) as problem:
        raise UsageError(f"{str(path)!r} holds no tuned method ({problem}). Make it with older-methods.") from None

    def score(data: DataSet) -> np.ndarray:
        pixels = data.images(np.arange(len(data)))
        peaks, _ = run(partial(respond, method, chosen, split_seed), pixels, workers)
        return np.asarray(((peaks[:, :, 0] - mean) / spread).max(axis=1))

    return Contender(f"{method} (our reimplementation)", score, None, tuned)


def respond(method: str, chosen: dict[str, Any], split_seed: int, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Responses of a method to images (n, h, w), as (n, sizes, 3), and the processor seconds they took."""
    if method == "template-matching":
        settings = TemplateSettings(**chosen)
        library = seeds.pick(seeds.default_library(0), "train", split_seed)
        one: Respond = partial(match, templates=choose(library, settings.templates), settings=settings)
    else:
        one = partial(hough, settings=HoughSettings(**chosen))
    began = time.process_time()
    peaks = np.stack([one(pixels) for pixels in images])
    return peaks, time.process_time() - began


def run(
    work: Callable[[np.ndarray], tuple[np.ndarray, float]], images: np.ndarray, workers: int
) -> tuple[np.ndarray, float]:
    """Responses to all images, in several processes; and the processor seconds for one image."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parts = np.array_split(images, max(1, min(len(images), 4 * max(workers, 1))))
    if workers < 2:
        done: Sequence[tuple[np.ndarray, float]] = [work(part) for part in parts]
    else:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            done = list(pool.map(work, parts))
    return np.concatenate([peaks for peaks, _ in done]), sum(seconds for _, seconds in done) / len(images)
