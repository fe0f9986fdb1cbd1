"""Describing candidates: the features of those that have none yet, from their pixels, kept with the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.engines.features import SIDE, FeatureMaker
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.decode import decode
from crater_ray.images.fetch import fetch
from crater_ray.images.status import Refusal
from crater_ray.network.bundle import DEFAULT, SHIPPED, Bundle, load, shipped
from crater_ray.results.open_run import Results
from crater_ray.results.similar.kept import COLUMNS, read_features, with_features, write_features
from crater_ray.runs.run import Run
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError

Progress = Callable[[int, int], None]
AT_ONCE = 64
"""Places that are described between two reports of progress."""


@dataclass(frozen=True)
class Described:
    """Candidates with their features.

    Attributes:
        table: as `crater_ray.results.similar.kept.with_features` gives it, best candidate first.
        network: the id of what described them.
        problems: why some are left out: how many by reason.
        unkept: why they could not be kept with the run; empty where they are.
    """

    table: pa.Table
    network: str
    problems: dict[str, int] = field(default_factory=dict)
    unkept: str = ""


def network_of(run: Run, given: str | None = None) -> Bundle:
    """The network that describes a run's candidates: the run's own where it ships, else the default one.

    Args:
        run: whose candidates they are.
        given: a bundle's folder or the name of a shipped one, which is taken instead.
    """
    if given is not None:
        return load(given)
    for name in shipped():
        bundle = load(SHIPPED / name)
        if run.record["settings"]["bundle"].startswith(bundle.id):
            return bundle
    return load(DEFAULT)


def describe(
    run: Run, access: Access, bundle: Bundle, threshold: float | None = None, progress: Progress | None = None
) -> Described:
    """The features of a run's candidates: those that are kept, and those of the others, which are kept then.

    Args:
        run: complete or not.
        access: how to reach the images.
        bundle: the network that describes them.
        threshold: the lowest score of a candidate; what is kept suffices, or the run's own, when None.
        progress: called with places described and places in all.

    Raises:
        UsageError: there is no candidate with a place.
    """
    kept, about = read_features(run, bundle)
    parts = len(run.published())
    cut = about.get("threshold", run.threshold) if threshold is None else threshold
    if about and about["parts"] == parts and about["threshold"] <= cut:
        return Described(kept if about["threshold"] == cut else _from(kept, cut), bundle.id)
    found = Results(run).candidates(cut, COLUMNS)
    rows = found.filter(pc.and_(pc.is_valid(found["x"]), pc.is_valid(found["y"])))
    if not rows.num_rows:
        raise UsageError(f"The run at {run.folder.uri} has no candidate with a place at or above {cut:g}.")
    if kept.num_rows:
        new = rows.filter(pc.invert(pc.is_in(rows["key"], value_set=kept["key"].combine_chunks())))
    else:
        new = rows
    made, problems = describe_rows(new, _access(run, access), bundle, progress)
    tables = [one for one in (kept, made) if one.num_rows]
    if not tables:
        raise CraterRayError(
            f"Not one of the {new.num_rows:,} images could be fetched; the first: {next(iter(problems))}. "
            "Is the archive still where it was scanned? Check --endpoint-url and --anonymous."
        )
    table = pa.concat_tables(tables).sort_by([("score", "descending"), ("key", "ascending")])
    unkept = ""
    try:
        write_features(run, bundle, table, min(cut, about.get("threshold", cut)), parts)
    except CraterRayError as problem:  # a run may be for reading alone
        unkept = str(problem)
    return Described(_from(table, cut), bundle.id, problems, unkept)


def _from(table: pa.Table, threshold: float) -> pa.Table:
    return table.filter(pc.greater_equal(table["score"], pa.scalar(threshold, pa.float32())))


def _access(run: Run, access: Access) -> Access:
    return replace(access, endpoint_url=access.endpoint_url or run.record["settings"].get("endpoint_url"))


def describe_rows(
    rows: pa.Table, access: Access, bundle: Bundle, progress: Progress | None = None
) -> tuple[pa.Table, dict[str, int]]:
    """Features of rows with a place, from their pixels.

    Args:
        rows: with `crater_ray.results.similar.kept.COLUMNS`.
        access: how to reach the images.
        bundle: the network.
        progress: called with places described and places in all.

    Returns:
        The rows whose images could be read, with features; why others could not: how many by reason.
    """
    maker = FeatureMaker(bundle)
    fit: list[int] = []
    features: list[np.ndarray] = []
    problems: dict[str, int] = {}
    waiting: list[np.ndarray] = []
    for number, answer in enumerate(_surroundings(rows, access)):
        if isinstance(answer, str):
            problems[answer] = problems.get(answer, 0) + 1
        else:
            fit.append(number)
            waiting.append(answer)
        if len(waiting) == AT_ONCE or number + 1 == rows.num_rows:
            features += list(maker.of(np.array(waiting, np.uint8).reshape(-1, SIDE, SIDE)))
            waiting.clear()
            if progress:
                progress(number + 1, rows.num_rows)
    if not fit:
        return rows.slice(0, 0), problems
    return with_features(rows.take(pa.array(fit, pa.int64())), np.stack(features)), problems


def _surroundings(rows: pa.Table, access: Access) -> Iterator[np.ndarray | str]:
    """(SIDE, SIDE) uint8 around each place, or why there are none; beyond the border the image is mirrored."""
    places = zip(rows["x"].to_pylist(), rows["y"].to_pylist(), rows["page"].to_pylist(), strict=True)
    for (x, y, page), data in zip(places, fetch(rows["uri"].to_pylist(), access), strict=True):
        pixels = data if isinstance(data, StorageError | Refusal) else decode(data, page)
        if isinstance(pixels, StorageError | Refusal):
            yield pixels.reason if isinstance(pixels, Refusal) else str(pixels)
        else:
            yield around(pixels, x, y)


def around(pixels: np.ndarray, x: float, y: float) -> np.ndarray:
    """(SIDE, SIDE) uint8, what lies around a place in (h, w) uint8 pixels; beyond the border they are mirrored."""
    rows, columns = (_mirrored(round(at) - SIDE // 2, length) for at, length in zip((y, x), pixels.shape, strict=True))
    return np.asarray(pixels[rows[:, None], columns[None, :]])


def _mirrored(start: int, length: int) -> np.ndarray:
    at = np.abs(np.arange(start, start + SIDE))
    period = 2 * max(length - 1, 1)
    at %= period
    return np.where(at < length, at, period - at)
