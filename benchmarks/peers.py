"""The same network, images and cores through other ways of doing it, in turns with the scan."""

from __future__ import annotations

import importlib.util
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record, spread
from crater_ray.errors import UsageError

PEERS = {
    "keras predict": "a loop over files: decode with Pillow, model.predict on each batch",
    "tf.data": "tf.data: read and decode in parallel, batch, prefetch; one model.predict over it",
    "Ray Data": "its batch-inference pattern: read_images, map_batches with a model class, write_parquet",
    "Daft": "its batch-inference pattern: from_glob_path, download, decode_image, a class with a batch method",
}
DAFT = "pip install --no-deps --target DIR daft 'pyarrow<26' 'tqdm<4.68'"
"""Daft's releases so far refuse the pyarrow that the project uses; in a folder of its own it has another one."""
BATCHES = {"full": 8, "trivial": 64}
"""Images per call of the network, for the peers; the scan uses its own."""

MEANING = (
    "Images a second from a local folder in steady state: images after the first finished batch, over the time "
    "from then to the end, written results included where the pattern writes them; the scan as in the benchmark "
    "`scan`, drained. Ratio: the scan's rate over the peer's of the same turn. Peers too "
    "are given the network without its inactive filters. The trivial network means one pixel in 64."
)


def peers(
    images: Annotated[int, typer.Option("--images", metavar="N", min=65, help="Images of a run.")] = 1_000,
    scan_images: Annotated[
        int,
        typer.Option(
            "--scan-images", metavar="N", min=0, help="Images of a scan, which may be far faster; 0: as many."
        ),
    ] = 6_000,
    network: Annotated[
        str, typer.Option("--network", metavar="full|trivial", help="The network, or next to nothing.")
    ] = "full",
    engines: Annotated[
        str, typer.Option("--engines", metavar="NAME,...", help="Engines of the scan (network full).")
    ] = "auto",
    daft: Annotated[
        Path | None,
        typer.Option("--daft", metavar="DIR", help=f"Folder of Daft, made by `{DAFT}`; if it is not installed."),
    ] = None,
    only: Annotated[str, typer.Option("--peers", metavar="NAME,...", help="Which of them.")] = ",".join(PEERS),
    repeats: options.Repeats = 3,
    bundle: options.BundleName = "default",
    distinct: options.Distinct = 400,
    json: options.Json = None,
) -> None:
    """Keras predict, tf.data, Ray Data and Daft beside the scan: images a second and ratios."""
    if network not in BATCHES:
        raise UsageError(f"--network must be full or trivial; received: {network!r}")
    names, skipped = installed(only, daft)
    named = [options.resolve_engine(name, bundle) for name in engines.split(",")]
    scans = named if network == "full" else ["stand-in"]
    scanned = scan_images or images
    settings: dict[str, Any] = {
        "images": images,
        "scan_images": scanned,
        "network": network,
        "engines": scans,
        "peers": names,
    }
    settings |= {"repeats": repeats, "bundle": bundle, "batch": BATCHES[network]}
    made = image_set.make(min(distinct, max(images, scanned)))
    record = Record("peers", settings, made.describe(images))
    rates: dict[str, list[float]] = {name: [] for name in [*(f"scan, {name}" for name in scans), *names]}
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="peers-") as work:
        folder = str(options.bundle_folder(bundle, Path(work)))
        source = str(image_set.link(made, images, Path(work, "images")))
        scan_source = source if scanned == images else str(image_set.link(made, scanned, Path(work, "scanned")))
        for turn in range(repeats):
            for name in names:
                answers = Path(work, f"{name}-{turn}".replace(" ", "-"))
                rates[name].append(images_a_second(name, source, network, folder, answers, daft))
            for engine in scans:
                out = str(Path(work, f"scan-{engine}-{turn}"))
                arguments = {"engine": engine, "bundle": folder, "endpoint_url": None, "shard_images": 1_000}
                timed = child.run("benchmarks.scan:timed_scan", source=scan_source, out=out, **arguments)
                rates[f"scan, {engine}"].append(timed["drained_images"] / timed["drained_seconds"])
    rows = [_row(name, values, rates, scans) for name, values in rates.items()]
    record.figures = {"meaning": MEANING, "patterns": PEERS, "skipped": skipped, "rows": rows}
    if "Daft" in names:
        found = metadata.distributions(name="daft", path=[str(daft)]) if daft else metadata.distributions(name="daft")
        record.figures["daft"] = next(iter(found)).version
    record.write(json)
    record.show(
        f"peers, {network} network, {images:,} images",
        ("", "images /s", "spread", *(f"scan, {engine} over it" for engine in scans)),
        [
            (
                row["name"],
                f"{row['images_a_second']['median']:,.1f}",
                f"{row['images_a_second']['min']:,.1f}-{row['images_a_second']['max']:,.1f}",
                *(f"{ratio['median']:.2f}" for ratio in row["scan_over_it"].values()),
            )
            for row in rows
        ],
        MEANING + "".join(f" Skipped: {name} ({why})." for name, why in skipped.items()),
    )


def installed(only: str, daft: Path | None) -> tuple[list[str], dict[str, str]]:
    """Of the peers that are asked for, those that can run here, and why the others cannot.

    Args:
        only: their names with commas.
        daft: the folder of Daft.

    Raises:
        UsageError: there is no such peer, or no Daft in its folder.
    """
    names = [name.strip() for name in only.split(",")]
    if unknown := set(names) - set(PEERS):
        raise UsageError(f"--peers must be among {', '.join(PEERS)}; received: {', '.join(unknown)}")
    if daft is not None and not (daft / "daft").is_dir():
        raise UsageError(f"--daft must be a folder made by `{DAFT}`; there is no Daft in {str(daft)!r}")
    skipped = {}
    if "Ray Data" in names and importlib.util.find_spec("pandas") is None:
        skipped["Ray Data"] = "needs the package pandas, which is not installed"
    if "Daft" in names and daft is None and importlib.util.find_spec("daft") is None:
        skipped["Daft"] = f"is not installed; `{DAFT}`, then --daft DIR"
    return [name for name in names if name not in skipped], skipped


def images_a_second(name: str, source: str, network: str, bundle: str, out: Path, daft: Path | None) -> float:
    """One peer's run in a fresh process: its rate in steady state."""
    common = {"folder": source, "network": network, "bundle": bundle, "batch": BATCHES[network], "out": str(out)}
    function = f"benchmarks.peer:{name.replace(' ', '_').replace('.', '_')}"
    timed = child.run(function, daft if name == "Daft" else None, **common)
    return float(timed["images"] / timed["seconds"])


def _row(name: str, values: list[float], rates: dict[str, list[float]], scans: list[str]) -> dict[str, Any]:
    over = {engine: spread([a / b for a, b in zip(rates[f"scan, {engine}"], values, strict=True)]) for engine in scans}
    return {"name": name, "images_a_second": spread(values), "scan_over_it": over}
