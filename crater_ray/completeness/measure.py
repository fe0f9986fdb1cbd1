"""Measuring completeness: plan, scan of the planted images with the run's own settings, and what came of it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from crater_ray.completeness.clearness import keep_clearness
from crater_ray.completeness.plan import PLAN, make_plan, manifest_of
from crater_ray.completeness.sample import draw_sample
from crater_ray.completeness.settings import FOLDER, Measurement, planting_of
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.crop import Crop
from crater_ray.network.bundle import DEFAULT, SHIPPED, shipped
from crater_ray.network.bundle import load as load_bundle
from crater_ray.results.image_table import read_image_table
from crater_ray.runs import run as run_folder
from crater_ray.runs.manifest import Selection
from crater_ray.runs.run import Run
from crater_ray.settings import ScanSettings, bundle_name
from crater_ray.storage.folder import open_folder
from crater_ray.watching.display import say

if TYPE_CHECKING:
    from rich.console import Console

    from crater_ray.scanning.scan import Outcome

SHARD_IMAGES = 200
"""Of a planted run, at most: so much is lost when it is killed."""


def measure(run: Run, measurement: Measurement, console: Console) -> Outcome:
    """Plant craters into a run's images and scan them as the run was scanned; or go on with that.

    The planted run lies in the folder `completeness` of the run, as a run of its own. Beside it lies how clearly the
    craters stand out that reviewers have confirmed since, and planted ones to compare them with.

    Args:
        run: complete; nothing of it changes.
        measurement: what is planted.
        console: for progress.

    Raises:
        UsageError: the run cannot be measured, or was measured with other settings.
        CraterRayError: something failed; the same again goes on from there.
    """
    from crater_ray.scanning.scan import Choice, scan

    require_measurable(run)
    settings = planted_settings(run, measurement)
    _refuse_other(run, measurement)
    sidecars = tuple(run.record.get("sidecars", ()))

    def images() -> pa.Table:
        table = None if measurement.image_table is None else read_image_table(measurement.image_table)
        sample = draw_sample(run, measurement.images, measurement.seed, table)
        plan = make_plan(run, sample, measurement, settings.crop)
        file = io.BytesIO()
        pq.write_table(plan, file, compression="zstd")
        run.folder.publish(f"{FOLDER}/{PLAN}", file.getvalue())
        images = len(set(plan["image"].to_pylist()))
        say(console, f"{plan.num_rows:,} craters planned, in {images:,} of the run's images")
        return manifest_of(plan, sample, settings.shard_images)

    told = {"planted_in": run.id, "planting": measurement.told()}
    outcome = scan(settings, console, Choice(told, images, sidecars, planted=True))
    if not outcome.failed:
        keep_clearness(run, measurement.access)
    return outcome


def require_measurable(run: Run) -> None:
    """Refuse runs whose completeness cannot be measured.

    Raises:
        UsageError: it is of several networks, or itself planted.
        CraterRayError: it is not complete.
    """
    settings = run.record["settings"]
    if "planting" in settings:
        raise UsageError(f"{run.folder.uri} holds planted craters itself. Give the run in whose folder it lies.")
    if "merged_from" in settings:
        raise UsageError(
            f"The run at {run.folder.uri} was merged from runs of several networks, and each finds other craters. "
            "Measure the runs that it was merged from."
        )
    if run.success() is None:
        raise CraterRayError(f"The run at {run.folder.uri} is not complete. Complete it by its scan command first.")


def _refuse_other(run: Run, measurement: Measurement) -> None:
    """Refuse to go on with what was begun with other settings."""
    planted = run_folder.find(open_folder(f"{run.folder.uri.rstrip('/')}/{FOLDER}", run.folder.store.access))
    before, now = planting_of(planted.record) if planted else None, measurement.told()
    if planted is None or before is None or before == now or not planted.has_manifest():
        return
    different = [name for name in now if now[name] != before.get(name)]
    options = {"image_table": "--table"}
    words = "; ".join(
        f"{options.get(name, '--' + name)} {_words(before.get(name))}, not {_words(now[name])}" for name in different
    )
    raise UsageError(
        f"The completeness of the run at {run.folder.uri} was measured with {words}. Give the same, or remove "
        f"{planted.folder.uri} to measure anew."
    )


def _words(value: object) -> str:
    return " ".join(f"{one:g}" for one in value) if isinstance(value, list) else str(value)


def planted_settings(run: Run, measurement: Measurement) -> ScanSettings:
    """The settings of a scan that does with planted images what was done with the run's own."""
    old = run.record["settings"]
    bundle = _bundle_of(run, measurement.bundle)
    access = measurement.access
    access = replace(access, endpoint_url=access.endpoint_url or old.get("endpoint_url"))
    return ScanSettings(
        source=old["source"],
        out=f"{run.folder.uri.rstrip('/')}/{FOLDER}",
        bundle=bundle,
        access=access,
        base=old.get("base"),
        column=old.get("column"),
        selection=Selection(old.get("limit"), old.get("sample"), old.get("seed") or 0),
        threshold=run.threshold,
        engine=old["engine"],
        screen=old.get("screen") is not None,
        crop=Crop(old.get("crop") or "auto"),
        pixel_nm=old.get("pixel_nm"),
        shard_images=min(SHARD_IMAGES, old["shard_images"]),
        address=measurement.address,
        log=measurement.log,
    )


def _bundle_of(run: Run, given: str | None) -> Path:
    """The network that a run was made with.

    Raises:
        UsageError: it is not the one that was given, or none that ships.
    """
    old = run.record["settings"]
    candidates = [given] if given else [str(DEFAULT), *(str(SHIPPED / name) for name in shipped())]
    for place in candidates:
        bundle = load_bundle(place)
        same_screen = old.get("screen") in (None, bundle.screen and bundle.screen.id)
        if same_screen and bundle_name(bundle, old["engine"]) == old["bundle"]:
            return SHIPPED / given if given and given in shipped() else Path(place)
    told = f"{given} is another one" if given else "none that ships with this version"
    raise UsageError(
        f"The run at {run.folder.uri} was made with the network {old['bundle']}"
        f"{' and the screen ' + old['screen'] if old.get('screen') else ''}: {told}. Give it with --bundle DIR."
    )
