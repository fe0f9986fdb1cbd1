"""What the screen costs in candidates: screened and full verdicts on the same images, and whether audits tell."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import child, image_set, options
from benchmarks.record import Record
from crater_ray.errors import UsageError

KEPT = 0.995
"""Share of the full network's candidates that screening must keep."""
LOST_POINTS = 0.5
"""Points of crater recall that it may lose."""
BATCH = 64

MEANING = (
    "Each image through the screen and through the full network, same engine, none of them used to make either. Kept: "
    "candidates of the full network at the threshold that the screen lets pass. Audits: that of so many runs is drawn "
    "anew, each with its own choice of images; a bound holds when at least as many candidates were allowed for as the "
    "screen really lets slip in that run."
)


def screening(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Simulated images.")] = 2_000,
    craters: Annotated[
        float, typer.Option("--crater-share", metavar="S", min=0, max=1, help="Of them hold a crater.")
    ] = 0.02,
    sets: Annotated[
        list[Path] | None, typer.Option("--set", help="Instead: a data set or a folder of images; several times.")
    ] = None,
    engine: options.Engine = "auto",
    bundle: options.BundleName = "default",
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, help="Runs whose audit is drawn.")] = 20,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Of the simulated images.")] = 7,
    json: options.Json = None,
) -> None:
    """Candidates and crater recall that screening keeps, and whether the audit's bound holds in repeated runs."""
    engine = options.resolve_engine(engine.removesuffix(options.SCREENED) + options.SCREENED, bundle)
    settings: dict[str, Any] = {"engine": engine, "bundle": bundle, "runs": runs, "seed": seed}
    if sets:
        record = Record("screening", settings, {"sets": [str(path.name) for path in sets]})
        folders = [str(path.absolute()) for path in sets]
    else:
        made = image_set.make(images, seed=seed, crater_share=craters)
        record = Record("screening", {**settings, "crater_share": craters}, made.describe(images))
        folders = [str(made.files[0].parent.parent)]
    with tempfile.TemporaryDirectory(prefix="crater-ray-screening-") as work:
        folder = str(options.bundle_folder(bundle, Path(work)))
        found = child.run("benchmarks.screening:compared", bundle=folder, engine=engine, folders=folders, runs=runs)
    record.figures = {"meaning": MEANING, "promised_kept_share": KEPT, **found}
    record.write(json)
    rows = [(name.replace("_", " "), "-" if value is None else f"{value:.6g}") for name, value in found.items()]
    record.show(f"screening, {engine}", ("what", ""), rows, MEANING)
    if found["kept_share"] < KEPT or (found["recall_lost_points"] or 0.0) >= LOST_POINTS:
        raise typer.Exit(1)


def compared(bundle: str, engine: str, folders: list[str], runs: int) -> dict[str, Any]:
    """Compare in this process; meant for a fresh one."""
    from crater_ray.engines.registry import create, create_screen
    from crater_ray.network.bundle import load
    from crater_ray.runs.audit import Audit, chosen
    from training.distillation.answers import open_images

    network = load(bundle)
    screen = network.screen
    if screen is None:
        raise UsageError(f"The bundle {network.name!r} has no screen.")
    name, _ = options.split_engine(engine)
    full, small = create(name, network), create_screen(name, network, screen)
    scores, passes, labels = [], [], []
    for folder in folders:
        data = open_images(Path(folder), screen.size)
        labels.append(data.column("label").astype(float))
        for start in range(0, len(data), BATCH):
            images = data.images(np.arange(start, min(start + BATCH, len(data))))
            scores.append(full.score(images).scores)
            passes.append(small.look(images).passed)
    score, label = np.concatenate(scores), np.concatenate(labels)
    passed = np.concatenate(passes)
    candidate = score >= np.float32(network.typical_threshold)
    crater = label == 1
    held = 0
    keys = [str(number) for number in range(len(score))]
    for run in range(runs):
        audited = chosen(f"run {run}", keys) & ~passed
        alone = ~passed & ~audited
        audit = Audit(screen.promise, int(alone.sum()), int(audited.sum()), int((audited & candidate).sum()))
        held += audit.missed_at_most >= int((alone & candidate).sum())
    known = bool(crater.any())
    return {
        "images": len(score),
        "candidates": int(candidate.sum()),
        "kept": int((candidate & passed).sum()),
        "kept_share": float((candidate & passed).sum() / max(1, candidate.sum())),
        "pass_share": float(passed.mean()),
        "craters": int(crater.sum()),
        "recall_full": float(candidate[crater].mean()) if known else None,
        "recall_screened": float((candidate & passed)[crater].mean()) if known else None,
        "recall_lost_points": 100 * float((candidate & ~passed)[crater].mean()) if known else None,
        "audits": runs,
        "audits_held": held,
    }
