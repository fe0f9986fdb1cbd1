"""Whether an engine finds what full precision finds; calibrates 8-bit numbers and records both in the card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record
from crater_ray.engines.choice import KEPT_SHARE, resolve

if TYPE_CHECKING:
    pass

MEASURED_ON = ("images", "crater_share", "calibration", "quantile", "layers", "seed")
"""The settings that the card keeps."""

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
        float | None,
        typer.Option(
            "--confirm",
            metavar="W",
            min=0,
            max=0.5,
            help="Scores this near the threshold again in float32.  [default: what it takes to keep enough]",
        ),
    ] = None,
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
    others = image_set.make(calibration, seed=seed + 1_000, crater_share=craters)
    with tempfile.TemporaryDirectory(prefix="crater-ray-agreement-") as work:
        folder = options.bundle_folder(bundle, Path(work))
        found = child.run(
            "benchmarks.agreement:measured",
            bundle=str(folder),
            engine=engine,
            calibrated_on=[str(file) for file in others.files],
            compared_on=[str(file) for file in compared.files],
            how={"threshold": threshold, "confirm": confirm, "quantile": quantile, "layers": layers},
            measured_on={name: settings[name] for name in MEASURED_ON} if write else None,
        )
    record.figures = {"meaning": MEANING, "promised_kept_share": KEPT_SHARE, **found}
    record.write(json)
    rows = [
        (name.replace("_", " "), "-" if value is None else f"{value:.6g}")
        for name, value in found.items()
        if name != "ranges"
    ]
    record.show(f"agreement of {engine} with keras", ("what", ""), rows, MEANING)
    if found["kept_share"] < KEPT_SHARE:
        raise typer.Exit(1)


def measured(
    bundle: str,
    engine: str,
    calibrated_on: list[str],
    compared_on: list[str],
    how: dict[str, Any],
    measured_on: dict[str, Any] | None,
) -> dict[str, Any]:
    """Calibrate and compare, and keep that in the card if it is said on what; meant for a fresh process."""
    from crater_ray.engines.calibration import measure
    from crater_ray.network.bundle import load
    from crater_ray.scanning.calibration import batches
    from crater_ray.storage.access import Access

    network = load(bundle)
    found = measure(network, engine, batches(calibrated_on, Access()), batches(compared_on, Access()), **how)
    if measured_on:
        found.recorded(network, measured_on).save(bundle)
    return found.entry()
