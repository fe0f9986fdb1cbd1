"""The commands that make a finder: its sources, the fit, the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from training.cli.options import Precision


def sources(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    photographs: Annotated[
        list[str] | None, typer.Option(help="Folder of images without craters; may be given several times.")
    ] = None,
    unseen: Annotated[
        list[str] | None, typer.Option(help="Hold out all pictures whose names begin so; may be given several times.")
    ] = None,
    simulated: Annotated[int, typer.Option(help="Blanks of simulated foil.")] = 260,
    seed: Annotated[int, typer.Option(help="Decides split, foil and seed craters.")] = 0,
) -> None:
    """Collect what scenes are made from: photographs, split by picture and kind, simulated foil, seed craters."""
    from training.finder.sources import Order, collect

    counts = collect(Order(photographs or (), unseen or (), simulated, seed=seed), out)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


def textures(
    folder: Annotated[Path, typer.Argument(help="With one folder of pictures a collection.")],
    source: Annotated[Path, typer.Option("--sources", help="Folder of `finder-sources`.")],
    bundle: Annotated[str, typer.Option(help="Pictures that it takes most for craters are left out.")] = "finder",
    most: Annotated[int, typer.Option(help="So many at most, chosen at random.")] = 4_000,
    seed: Annotated[int, typer.Option(help="Decides which.")] = 0,
) -> None:
    """Add pictures of anything but craters to the sources: surfaces that no microscope showed."""
    from training.finder.textures import Textures, collect_textures

    counts = collect_textures(Textures(folder, bundle, most, seed), source)
    print(", ".join(f"{count} of {name}" for name, count in counts.items()))


def fit(
    out: Annotated[Path, typer.Argument(help="Folder of the fit. Run again to go on where it was stopped.")],
    source: Annotated[Path, typer.Option("--sources", help="Folder of `finder-sources`.")],
    steps: Annotated[int, typer.Option(help="Batches of 16 scenes of 192 x 192 px.")] = 12_000,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    seed: Annotated[int, typer.Option(help="Decides first weights and all scenes.")] = 0,
    precision: Precision = "auto",
    begin: Annotated[
        str | None, typer.Option("--from", help="A bundle, or the folder of another fit, to begin from.")
    ] = None,
    mined: Annotated[Path | None, typer.Option(help="File of `finder-mine`: blanks to show again and again.")] = None,
    flat: Annotated[bool, typer.Option("--flat", help="Keep the rate; with a long --memory.")] = False,
    memory: Annotated[int, typer.Option(min=1, help="Batches over which weights are averaged, at most.")] = 500,
    widths: Annotated[str, typer.Option(help="Filters at strides 2, 4, 8 and 16.")] = "16,32,64,64",
    stop: Annotated[int | None, typer.Option(help="Stop for now after so many batches, to mine.")] = None,
) -> None:
    """Fit the finder on endless scenes."""
    from dataclasses import replace

    from training.backend import policy
    from training.finder.fit import Settings
    from training.finder.fit import fit as run
    from training.finder.stream import Batches

    batches = Batches(source, seed, mined=mined)
    settings = Settings(batches, steps, rate, dtype=policy(precision), seed=seed, begin=begin, stop=stop)
    run(replace(settings, widths=_widths(widths), flat=flat, memory=memory), out)


def _widths(given: str) -> tuple[int, int, int, int]:
    from crater_ray.errors import UsageError

    numbers = [int(number) if number.strip().isdecimal() else 0 for number in given.split(",")]
    if len(numbers) != 4 or min(numbers) < 1:
        raise UsageError(f"--widths must be four numbers from 1 on, such as 16,32,64,64; received: {given!r}")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def mine(
    out: Annotated[Path, typer.Argument(help="File to write, .npz.")],
    fitted: Annotated[Path, typer.Option("--fit", help="Folder of the fit so far.")],
    source: Annotated[Path, typer.Option("--sources", help="Folder of `finder-sources`.")],
    blanks: Annotated[int, typer.Option(help="Fresh scenes without craters to look through.")] = 100_000,
    keep: Annotated[int, typer.Option(help="So many of the worst.")] = 4_000,
    seed: Annotated[int, typer.Option(help="Decides the scenes.")] = 7_001,
) -> None:
    """Keep the blanks that the network so far takes most for craters, for `finder-fit --mined`."""
    import numpy as np

    from training.finder.export import folded_weights
    from training.finder.mine import Mining
    from training.finder.mine import mine as run
    from training.finder.stream import Batches

    logits = run(Mining(Batches(source, seed), blanks, keep), folded_weights(fitted), out)
    edges = np.percentile(logits, (50, 90, 99, 99.9))
    print(f"{len(logits):,} blanks; logits at 50, 90, 99 and 99.9%: {', '.join(f'{edge:.2f}' for edge in edges)}")


def bundle(
    fitted: Annotated[str, typer.Argument(help="Folder of the fit, or a bundle whose scores to calibrate anew.")],
    out: Annotated[Path, typer.Argument(help="The bundle to write.")],
    source: Annotated[Path, typer.Option("--sources", help="Folder of `finder-sources`.")],
    images: Annotated[int, typer.Option(help="Held-out scenes with a crater, and 16 times without.")] = 1_000,
    odds: Annotated[int, typer.Option(help="Of the archive: one image in so many has a crater.")] = 1_000,
    name: Annotated[str, typer.Option(help="What people will call it.")] = "finder",
    average: Annotated[
        str | None,
        typer.Option(help="The bundle, or the folder of the fit, that this one began from: the mean of both is taken."),
    ] = None,
    view: Annotated[
        bool, typer.Option("--view/--no-view", help="The finder also looks at images at half their size.")
    ] = True,
) -> None:
    """Make a bundle of a fit: normalisation folded in, scores calibrated at the odds of an archive."""
    import json

    from crater_ray.network.bundle import load
    from training.finder.calibrate import finder_bundle, held_out
    from training.finder.export import averaged, folded_weights, twofold, uncalibrated

    scenes = held_out(source, images, 16 * images, seed=1_000)
    if (Path(fitted) / "settings.json").exists():
        weights, trained = folded_weights(Path(fitted)), _trained(Path(fitted), source)
    else:
        made_before = load(fitted)
        weights, trained = uncalibrated(made_before), dict(made_before.trained)
    if average:
        if (Path(average) / "settings.json").exists():
            weights = averaged(weights, folded_weights(Path(average)))
            others = json.loads((Path(average) / "settings.json").read_text(encoding="utf-8"))
            trained["averaged_with"] = {key: value for key, value in others.items() if key != "batches"}
        else:
            before = load(average)
            weights = averaged(weights, uncalibrated(before))
            trained["averaged_with"] = {"bundle": before.id, **before.trained}
    if view:
        weights = twofold(weights)
    trained["views"] = 2 if view else 1
    others = held_out(source, images // 2, 8 * images, seed=2_000)
    made = finder_bundle(weights, scenes, others, trained, name, odds)
    made.save(out)
    print(f"{made.name} ({made.id}), typical threshold {made.typical_threshold:g}: {made.figures}")


def _trained(fitted: Path, source: Path) -> dict[str, Any]:
    """What the card says of a fit and of its sources."""
    import json

    trained = {
        "recipe": {"name": "finder"},
        **json.loads((fitted / "settings.json").read_text(encoding="utf-8")),
        **json.loads((fitted / "state.json").read_text(encoding="utf-8")),
    }
    trained["batches"].pop("sources", None)  # a path of this machine
    if trained.get("begin"):
        trained["begin"] = Path(trained["begin"]).name
    card = json.loads((source / "card.json").read_text(encoding="utf-8"))
    trained["sources"] = {key: value for key, value in card.items() if key != "names"}
    return trained
