"""The reproduction: images, both steps of the training, the bundle, and what it makes of the claim; call by call."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from training.data_sets.dataset import DataSet
from training.fitting import checkpoint, fit
from training.fitting.calibrate import calibrated_bundle
from training.fitting.checkpoint import State
from training.fitting.settings import Budget, Data, Settings
from training.reproduction.figures import claim
from training.reproduction.images import make_images
from training.reproduction.protocol import Protocol, keep
from training.reproduction.report import CAUTION, write_report

BUNDLE = "reproduction"


def reproduce(
    protocol: Protocol,
    folder: Path,
    *,
    minutes: float,
    dtype: str = "float32",
    workers: int = 1,
    say: Callable[[str], None] = print,
    tell: Callable[[int, int], None] = lambda done, wanted: None,
) -> bool:
    """Go on with a reproduction, or begin it, and say whether it has ended.

    Args:
        protocol: what to do.
        folder: where images, fit, bundle and report are kept.
        minutes: of this call; the figures at its end take some more.
        dtype: Keras policy of the layers.
        workers: processes that make images.
        say: is told one line at a time; that the figures flatter first.
        tell: is told images made and wanted, and then batches done and those of the epoch.

    Raises:
        UsageError: the folder holds another reproduction.
    """
    say(CAUTION)
    ends = time.monotonic() + minutes * 60.0
    folder.mkdir(parents=True, exist_ok=True)
    keep(protocol, folder)
    sets = make_images(protocol, folder / "data", workers=workers, say=say, tell=tell, ends=ends)
    if sets is None:
        say("Not all images are made yet: run the same command again to go on.")
        return False
    settings = Settings(
        "original",
        budget=Budget(float("inf"), ends=ends),
        seed=protocol.seed,
        epoch_images=protocol.epoch_images,
        batches=protocol.batches,
        dtype=dtype,
        patience=protocol.patience,
    )
    data = Data(sets["crops"], sets["crops-validation"], sets["whole"], sets["whole-validation"])

    def after_epoch(line: str) -> None:
        state, left = _state(folder), max(ends - time.monotonic(), 0.0) / 60.0
        say(f"{line}; at least {_least_minutes(protocol, state):.0f} min to its end, {left:.0f} min left of this call")
        write_report(folder, protocol, state, ended=False)

    ended = fit.train(settings, data, folder / "fit", say=after_epoch, tell=tell)
    _conclude(protocol, folder, sets, ended, say)
    return ended


def _state(folder: Path) -> State:
    return checkpoint.peek(folder / "fit" / checkpoint.FILE) or State()


def _least_minutes(protocol: Protocol, state: State) -> float:
    """How long a step takes at least: as long as no epoch is better. All epochs have the same image area."""
    height, width = protocol.crop_shape
    epoch = protocol.epoch_images * height * width / 1e6
    return state.seconds / 60.0 / state.megapixels * epoch * (protocol.patience - state.waited)


def _conclude(
    protocol: Protocol, folder: Path, sets: dict[str, DataSet], ended: bool, say: Callable[[str], None]
) -> None:
    """Save the best weights so far as a bundle and measure it, once they are better than guessing."""
    state, figures = _state(folder), None
    if state.step == 2 or state.best > fit.CHANCE:
        note = f"{CAUTION} {'Trained to its end.' if ended else 'Not trained to its end.'}"
        made = calibrated_bundle(folder / "fit", sets["whole-validation"], name=BUNDLE, note=note, as_they_are=True)
        made.save(folder / BUNDLE)
        figures = {"step": state.step, "epoch": state.epoch, **claim(folder / BUNDLE, sets["test"])}
    write_report(folder, protocol, state, ended=ended, figures=figures)
    say(f"{'Ended' if ended else 'Not ended: run the same command again to go on'}. Report: {folder / 'report.md'}")
