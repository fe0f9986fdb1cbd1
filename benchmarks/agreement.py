"""Whether an engine finds what full precision finds; calibrates 8-bit numbers and records both in the card."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record
from crater_ray.engines.registry import resolve
from crater_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

PROMISED = 0.995
"""Share of full precision's candidates that an engine must keep."""
BATCH = 16

MEANING = (
    "Scores of the engine against those of keras (float32) on the same simulated images, none of which were used to "
    "calibrate. Kept: candidates of keras at the threshold that the engine has too."
)


def agreement(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Images to compare on.")] = 2_000,
    craters: Annotated[
        float, typer.Option("--crater-share", metavar="S", min=0, max=1, help="Of them hold a crater.")
    ] = 0.5,
    calibration: Annotated[
        int, typer.Option("--calibration", metavar="N", min=1, help="Other images to calibrate on.")
    ] = 200,
    quantile: Annotated[
        float, typer.Option("--quantile", metavar="Q", min=0.9, max=1, help="Of an image's values in range.")
    ] = 1.0,
    layers: Annotated[
        int | None, typer.Option("--layers", metavar="N", min=1, help="8-bit activations.  [default: all but the last]")
    ] = None,
    confirm: Annotated[
        float,
        typer.Option("--confirm", metavar="W", min=0, max=0.5, help="Scores this near the threshold again in float32."),
    ] = 0.0,
    engine: options.Engine = "openvino",
    bundle: options.BundleName = "default",
    threshold: Annotated[float | None, typer.Option("--threshold", metavar="T", help="[default: the bundle's]")] = None,
    write: Annotated[bool, typer.Option("--write", help="Keep calibration and agreement in the card.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Of the compared images.")] = 1,
    json: options.Json = None,
) -> None:
    """Compare an engine's scores and candidates with full precision's; calibrate it first if it needs that."""
    engine = resolve(engine)
    settings: dict[str, Any] = {
        "images": images,
        "crater_share": craters,
        "calibration": calibration,
        "quantile": quantile,
    }
    settings |= {
        "confirm": confirm,
        "layers": layers,
        "engine": engine,
        "bundle": bundle,
        "threshold": threshold,
        "seed": seed,
    }
    compared = image_set.make(images, seed=seed, crater_share=craters)
    record = Record("agreement", settings, compared.describe(images))
    with tempfile.TemporaryDirectory(prefix="crater-ray-agreement-") as work:
        folder = options.bundle_folder(bundle, Path(work))
        common: dict[str, Any] = {"bundle": str(folder), "engine": engine, "threshold": threshold, "confirm": confirm}
        ranges = None
        if engine == "openvino":
            others = image_set.make(calibration, seed=seed + 1_000, crater_share=craters)
            files = [str(file) for file in others.files]
            how = {"bundle": str(folder), "files": files, "quantile": quantile, "layers": layers}
            ranges = child.run("benchmarks.agreement:calibrated", **how)
        files = [str(file) for file in compared.files]
        found = child.run("benchmarks.agreement:compared", files=files, ranges=ranges, **common)
        figures = {"meaning": MEANING, "ranges": ranges, "promised_kept_share": PROMISED, **found}
        record.figures = figures
        if write:
            _keep(folder, engine, record.figures, settings)
    record.write(json)
    rows = [(name.replace("_", " "), "-" if value is None else f"{value:.6g}") for name, value in found.items()]
    record.show(f"agreement of {engine} with keras", ("what", ""), rows, MEANING)
    if found["kept_share"] < PROMISED:
        raise typer.Exit(1)


def _keep(folder: Path, engine: str, figures: dict[str, Any], settings: dict[str, Any]) -> None:
    from crater_ray.engines.registry import ENTRIES
    from crater_ray.network.bundle import load

    if figures["candidates"] == 0:
        raise UsageError("Nothing is written: keras has no candidate among these images, so they show no agreement.")
    bundle = load(folder)
    name = ENTRIES.get(engine, engine.replace("-", "_"))
    how = {key: settings[key] for key in ("images", "crater_share", "calibration", "quantile", "layers", "seed")}
    entry = {key: value for key, value in figures.items() if key not in ("meaning", "promised_kept_share")}
    replace(bundle, figures={**bundle.figures, name: {**entry, "measured_on": how}}).save(folder)


def calibrated(bundle: str, files: list[str], quantile: float, layers: int | None) -> dict[str, float]:
    """Ranges for 8-bit numbers; meant for a fresh process."""
    from crater_ray.engines.agreement import calibrate
    from crater_ray.network.bundle import load

    return calibrate(load(bundle), _batches(files), quantile, layers)


def compared(
    bundle: str, engine: str, threshold: float | None, files: list[str], ranges: dict[str, float] | None, confirm: float
) -> dict[str, Any]:
    """Compare an engine with keras; meant for a fresh process."""
    from crater_ray.engines.agreement import compare
    from crater_ray.engines.registry import ENTRIES, create
    from crater_ray.network.bundle import load

    network = load(bundle)
    # As the card would say it: calibration and margin are what is tried here, whatever it says now.
    tried = {**({"ranges": ranges} if ranges else {}), "confirm": confirm}
    entry = ENTRIES.get(engine)
    network = replace(network, figures={**network.figures, entry: tried}) if entry else network
    other = create(engine, network, threshold=threshold)
    found = compare(create("keras", network), other, _batches(files), network, threshold)
    return {**asdict(found), "kept_share": found.kept_share, "confirm": confirm}


def _batches(files: list[str]) -> Iterator[np.ndarray]:
    import numpy as np

    from crater_ray.images.decode import decode

    for start in range(0, len(files), BATCH):
        pixels = [decode(Path(file).read_bytes()) for file in files[start : start + BATCH]]
        yield np.stack([image for image in pixels if isinstance(image, np.ndarray)])
