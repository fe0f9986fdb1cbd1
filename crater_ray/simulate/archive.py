"""A whole simulated archive on disk, in the site's key layout, with its labels."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.simulate.foil import one_foil
from crater_ray.simulate.frame import simulate_frame
from crater_ray.simulate.ranges import Ranges, log_uniform

VERSION = 1
"""Raised whenever the same seed gives other images."""

WORTH_A_POOL = 48
"""Fewer images than this are made faster by one process than by starting others."""

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

Row = tuple[str, int, str, str, str]


def simulate_archive(
    out: str | Path,
    images: int,
    craters: int,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    foil: int | None = None,
) -> Path:
    """Write `OUT/<key>/<key>-001.jpg` for every image, `OUT/labels.csv` and `OUT/simulation.json`.

    `labels.csv` has the columns key, label (1 crater, 0 blank), diameter_px, x, y; the last three are empty for
    blanks; x and y are the crater's centre in px from the top left. The same seed gives the same bytes with any
    number of workers.

    Args:
        out: a folder that does not exist yet or is empty.
        images: how many images.
        craters: how many of them have a crater (one each).
        seed: any whole number from 0.
        workers: processes; the machine's cores when not given. Starting them needs the usual
            `if __name__ == "__main__":` in a script.
        progress: called with (images done, images) as they are written.
        foil: number of the foil that all images show; each image is of a foil of its own when not given.

    Returns:
        The path of `labels.csv`.

    Raises:
        UsageError: the numbers do not fit together, or `out` is in use.
        CraterRayError: an image could not be written, or a worker process died.
    """
    out = Path(out)
    _check(out, images, craters, seed, workers, foil)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(f"The folder {str(out)!r} cannot be made: {problem}. Choose another.") from None
    ranges = Ranges() if foil is None else one_foil(Ranges(), foil)
    rng = np.random.default_rng([seed, images, craters])
    keys = _keys(rng, images)
    marked = np.zeros(images, bool)
    marked[rng.permutation(images)[:craters]] = True
    work = partial(_write_image, out, seed, ranges)
    jobs = list(zip(range(images), keys, marked.tolist(), strict=True))
    rows: list[Row] = []
    try:
        with closing(_run(work, jobs, _processes(workers, images))) as made:
            for row in made:
                rows.append(row)
                if progress is not None:
                    progress(len(rows), images)
    except BrokenProcessPool:
        _remove(out, keys)
        raise CraterRayError(
            f"A worker process ended after {len(rows)} of {images} images, for want of memory or because the calling "
            'script has no `if __name__ == "__main__":`. Nothing is kept; try again with workers=1.'
        ) from None
    except KeyboardInterrupt:
        _remove(out, keys)
        raise
    except OSError as problem:
        raise CraterRayError(
            f"Only {len(rows)} of {images} images could be written to {str(out)!r}: {problem}. "
            "Make room or choose another folder."
        ) from None
    about: dict[str, Any] = {"version": VERSION, "seed": seed, "images": images, "craters": craters, "foil": foil}
    about |= {"ranges": asdict(ranges)}
    (out / "simulation.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    labels = out / "labels.csv"
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("key", "label", "diameter_px", "x", "y"))
        writer.writerows(sorted(rows))
    return labels


def _check(out: Path, images: int, craters: int, seed: int, workers: int | None, foil: int | None) -> None:
    if images < 1:
        raise UsageError(f"An archive needs at least one image; received: --images {images}")
    if craters < 0:
        raise UsageError(f"The number of crater images cannot be negative; received: --craters {craters}")
    if craters > images:
        raise UsageError(
            f"Each image holds at most one crater, so craters must not exceed images; "
            f"received: --craters {craters} and --images {images}"
        )
    if seed < 0:
        raise UsageError(f"The seed must be a whole number from 0; received: --seed {seed}")
    if foil is not None and foil < 0:
        raise UsageError(f"The foil must be a whole number from 0; received: --foil {foil}")
    if workers is not None and workers < 1:
        raise UsageError(f"At least one worker process is needed; received: {workers}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{str(out)!r} is a file. Name a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"The folder {str(out)!r} is not empty. Name another, or empty it first.")


def _keys(rng: np.random.Generator, number: int) -> list[str]:
    """Distinct keys of both forms that the site uses."""
    keys: dict[str, None] = {}
    while len(keys) < number:
        if rng.random() < 0.5:
            key = f"fm_{rng.integers(-150_000, 150_000)}_{rng.integers(-150_000, 150_000)}"
        else:
            letters = "".join(LETTERS[i] for i in rng.integers(0, len(LETTERS), 16))
            key = f"fc_000{rng.integers(0, 10)}{letters}.{rng.integers(10_000, 100_000)}"
        keys[key] = None
    return list(keys)


def _processes(workers: int | None, images: int) -> int:
    if workers is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return available if images >= WORTH_A_POOL else 1
    return min(workers, images)


def _run(
    work: Callable[[tuple[int, str, bool]], Row], jobs: list[tuple[int, str, bool]], processes: int
) -> Generator[Row, None, None]:
    if processes == 1:
        yield from map(work, jobs)
        return
    # Started afresh, not forked: the caller may already hold threads and devices that do not survive a fork.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        yield from pool.map(work, jobs, chunksize=max(1, min(16, len(jobs) // (4 * processes))))
    finally:
        with _undisturbed():
            pool.shutdown(cancel_futures=True)


def _remove(out: Path, keys: list[str]) -> None:
    """Half an archive would be scanned for a whole one."""
    with _undisturbed(), suppress(OSError):
        for key in keys:
            shutil.rmtree(out / key, ignore_errors=True)
        out.rmdir()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not stop the cleaning up after the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write_image(out: Path, seed: int, ranges: Ranges, job: tuple[int, str, bool]) -> Row:
    index, key, with_crater = job
    rng = np.random.default_rng([seed, index])
    diameters = (log_uniform(rng, ranges.crater_diameter_px),) if with_crater else ()
    frame = simulate_frame(rng, diameters_px=diameters, ranges=ranges)
    folder = out / key
    folder.mkdir()
    Image.fromarray(frame.pixels).save(folder / f"{key}-001.jpg", quality=frame.jpeg_quality)
    if not frame.craters:
        return key, 0, "", "", ""
    crater = frame.craters[0]
    return key, 1, f"{crater.diameter_px:.2f}", f"{crater.x:.2f}", f"{crater.y:.2f}"
