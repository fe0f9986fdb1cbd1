"""A trial of engines on this machine: how quick each is, and whether it finds here what float32 finds.

It runs in a process of its own, `python -m crater_ray.engines.trial`: what an engine loads, or brings down, does not
touch the one that asks. What came of it is kept in the user's cache folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crater_ray.engines import kept, processor
from crater_ray.engines.registry import create, create_screen, find
from crater_ray.network.bundle import Bundle, load

if TYPE_CHECKING:
    from crater_ray.engines.base import Engine

KIND = "engines"
"""What the results are kept as."""
VERSION = 2
"""Raised whenever a trial means something else."""
IMAGES, SEED = 24, 20_260_101
"""Simulated foils, each as it is and mirrored; every second one has a crater of one of these diameters in px."""
DIAMETERS = (7.0, 11.0, 16.0, 24.0)
TIMED_SECONDS = 0.1
ROUNDS = 2
"""An engine is timed for so long at least, so many times in turn with the others; its quickest time counts."""
MOST_SECONDS = 180
LOST_AT_MOST = 1
"""Of the trial's candidates, which are too few for a share."""
TIMES_LARGEST, TIMES_MEAN, SLACK = 2.0, 3.0, 0.01
"""Differences of scores may be so many times, and by so much, larger than those that the card says."""


@dataclass(frozen=True)
class Tried:
    """What a trial says of one engine.

    Attributes:
        engine: its name.
        images_per_second: of 384x512 pixels, in a second of one processor core.
        candidates, kept: of float32, and those of them that the engine has too.
        largest_difference, mean_difference: of its scores and float32's.
        unfit: why it is not to be used here; None when it may be.
    """

    engine: str
    images_per_second: float
    candidates: int
    kept: int
    largest_difference: float
    mean_difference: float
    unfit: str | None = None


class TrialFailed(Exception):
    """The trial's process ended without an answer."""


def tried_here(bundle: Bundle, names: Sequence[str], screened: bool) -> list[Tried]:
    """What a trial of these engines said on this machine; it is made unless one was kept that still holds.

    Args:
        bundle: the network.
        names: engines that are installed; one in float32 among them.
        screened: whether the bundle's screen goes before them.

    Raises:
        TrialFailed: its process ended without an answer.
    """
    key = _key(bundle, names, screened)
    with kept.alone(KIND, key):
        found = _sound(kept.read(KIND, key), names)
        if found is None:
            data = _in_a_process(bundle, names, screened)
            found = _sound(data, names)
            if found is None:
                raise TrialFailed(f"it said {data[:200]!r}")
            kept.write(KIND, key, data)
    return found


def _key(bundle: Bundle, names: Sequence[str], screened: bool) -> dict[str, Any]:
    versions = {}
    for package in ("crater-ray", "openvino", "keras", "numpy"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    cards = {name: dict(find(name).figures(bundle)) for name in names}
    return {
        "trial": VERSION,
        "bundle": bundle.id,
        "threshold": bundle.typical_threshold,
        "cards": cards,
        "screen": bundle.screen.id if screened and bundle.screen else None,
        "engines": list(names),
        "processor": processor.fingerprint(),
        "versions": versions,
    }


def _sound(data: bytes | None, names: Sequence[str]) -> list[Tried] | None:
    """A trial's answer, read without trust; None unless it says of just these engines what one says."""
    try:
        found = [Tried(**entry) for entry in json.loads(data or b"")]
        sane = [one.engine for one in found] == list(names) and all(
            0 < float(one.images_per_second) < 1e9
            and 0 <= int(one.kept) <= int(one.candidates) <= IMAGES
            and 0 <= float(one.mean_difference) <= float(one.largest_difference) <= 1
            and (one.unfit is None or isinstance(one.unfit, str))
            for one in found
        )
    except (ValueError, TypeError):
        return None
    return found if sane else None


def _in_a_process(bundle: Bundle, names: Sequence[str], screened: bool) -> bytes:
    environment = dict(os.environ)
    package = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="crater-ray-trial-") as scratch:
        folder = bundle.save(scratch)
        command = [sys.executable, "-m", "crater_ray.engines.trial", str(folder), ",".join(names), str(int(screened))]
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=MOST_SECONDS,
                env=environment,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise TrialFailed(str(problem)) from None
    if ended.returncode:
        words = ended.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise TrialFailed(f"it ended with {ended.returncode} and said: {words[-1]}")
    return ended.stdout


def compare_here(bundle: Bundle, names: Sequence[str], screened: bool) -> list[Tried]:
    """Make the trial, in this process."""
    images = _images()
    engines = {name: create(name, bundle) for name in names}
    scores = {name: engine.score(images).scores for name, engine in engines.items()}
    reference = scores[next(name for name in names if find(name).numbers == "float32")]
    cut = np.float32(bundle.typical_threshold)
    expected = reference >= cut
    unseen = _unseen(bundle, names[0], images[expected]) if screened else None
    rates = dict.fromkeys(names, 0.0)
    for _ in range(ROUNDS):  # in turn, so that what else this machine does meets all alike
        for name, engine in engines.items():
            rates[name] = max(rates[name], _rate(engine, images))
    found = []
    for name in names:
        difference = np.abs(scores[name] - reference)
        one = Tried(
            engine=name,
            images_per_second=round(rates[name], 2),
            candidates=int(expected.sum()),
            kept=int((expected & (scores[name] >= cut)).sum()),
            largest_difference=float(difference.max()),
            mean_difference=float(difference.mean()),
        )
        found.append(replace(one, unfit=unseen or judge(one, find(name).figures(bundle))))
    return found


def judge(tried: Tried, card: Mapping[str, Any]) -> str | None:
    """Why an engine that did so is not to be used here; None when it may be.

    Args:
        tried: the trial.
        card: what the bundle's card says of its agreement with float32, measured on more images.
    """
    lost = tried.candidates - tried.kept
    if lost > LOST_AT_MOST:
        return f"it lost {lost} of {tried.candidates} candidates of float32"
    for name, times, what in (
        ("largest_difference", TIMES_LARGEST, "by up to"),
        ("mean_difference", TIMES_MEAN, "on average by"),
    ):
        here, there = getattr(tried, name), card.get(name)
        if isinstance(there, int | float) and here > times * there + SLACK:
            return f"its scores differ from float32's {what} {here:.3f}, where the card says {there:.3f}"
    return None


def _unseen(bundle: Bundle, name: str, images: np.ndarray) -> str | None:
    """Why the screen is not to be used here with these engines: it must let float32's candidates pass."""
    screen = bundle.screen
    if screen is None or not len(images) or images.shape[1:] != screen.size:
        return None
    lost = len(images) - int(create_screen(name, bundle, screen).look(images).passed.sum())
    return f"the screen lost {lost} of {len(images)} candidates of float32" if lost > LOST_AT_MOST + 1 else None


def _images() -> np.ndarray:
    from crater_ray.simulate import simulate_frame

    rng = np.random.default_rng(SEED)
    diameters = [(DIAMETERS[number // 2 % len(DIAMETERS)],) if number % 2 else () for number in range(IMAGES // 2)]
    images = np.stack([simulate_frame(rng, diameters_px=some).pixels for some in diameters])
    return np.concatenate([images, images[:, :, ::-1]])


def _rate(engine: Engine, images: np.ndarray) -> float:
    """Images in a second of one core, with two for each core at a time.

    By the time that the cores worked for it: on a machine that is busy, what has passed tells of the others' work, and
    the choice would stay when they are gone.
    """
    some = np.resize(images, (max(4, 2 * processor.cores()), *images.shape[1:]))
    done, started, worked = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < TIMED_SECONDS:
        engine.score(some)
        done += len(some)
    return done / (time.process_time() - worked)


def main() -> None:
    """Make a trial as told by the command line, and write it to standard output."""
    folder, names, screened = sys.argv[1:]
    found = compare_here(load(folder), names.split(","), screened == "1")
    sys.stdout.write(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    main()
