"""The commands that measure networks and older methods, and draw what a network sees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.options import Threads


def evaluate(
    out: Annotated[Path, typer.Argument(help="Folder of the report.")],
    sets: Annotated[list[Path], typer.Option("--set", help="A test data set; may be given several times.")],
    bundle: Annotated[list[Path] | None, typer.Option(help="A bundle; may be given several times.")] = None,
    older: Annotated[list[Path] | None, typer.Option(help="Settings that older-methods tuned.")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only so many images of each set.")] = None,
    card: Annotated[bool, typer.Option(help="Also write the figures into the card of the first bundle.")] = False,
    threads: Threads = 0,
) -> None:
    """Measure bundles and older methods on the same test sets: JSON, Markdown, plots."""
    from training import backend
    from training.data_sets import dataset

    backend.start(threads)
    from crater_ray.network.bundle import load
    from training.evaluation.evaluate import evaluate as run
    from training.evaluation.evaluate import of_bundle, write_card
    from training.older_methods import contender

    contenders = [of_bundle(load(path)) for path in bundle or []]
    contenders += [contender(path, workers=threads) for path in older or []]
    results = run(contenders, {path.name: dataset.read(path) for path in sets}, out, limit=limit)
    if card and bundle:
        write_card(bundle[0], results)
    print(f"Report: {out / 'report.md'}")


def older_methods(
    out: Annotated[Path, typer.Argument(help="JSON file for the tuned settings; give it to evaluate --older.")],
    train: Annotated[Path, typer.Option(help="Training data set of whole images.")],
    method: Annotated[str, typer.Option(help="template-matching or canny-hough.")] = "template-matching",
    images: Annotated[int, typer.Option(help="How many training images to tune on.")] = 200,
    workers: Annotated[int, typer.Option(help="Processes at once.")] = 2,
) -> None:
    """Tune template matching or Canny + Hough on the training split."""
    from training.data_sets import dataset
    from training.older_methods import tune

    best = tune(method, dataset.read(train), out, images=images, workers=workers)
    print(f"{best['method']} {best['settings']}: {best['seconds_per_image_and_core']:.2f} s per image and core: {out}")


def explain(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    bundle: Annotated[Path | None, typer.Option(help="The bundle; the one that ships if absent.")] = None,
    run: Annotated[str | None, typer.Option(help="A run whose top candidates are drawn too.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which crater and scratch are shown.")] = 0,
) -> None:
    """Draw filter responses on a crater and a scratch, warped craters, and the top candidates of a run."""
    from training import backend

    backend.start()
    from crater_ray.network.bundle import DEFAULT, load
    from training.evaluation.explain import explain as draw

    for path in draw(load(bundle or DEFAULT), out, seed=seed, run=run):
        print(path)


def trials(
    bundle: Annotated[list[Path], typer.Option(help="A bundle; may be given several times.")],
    source: Annotated[
        Path | None, typer.Option("--sources", help="Folder of `finder-sources`: its held-out photographs are used.")
    ] = None,
    images: Annotated[int, typer.Option(help="With and as many without a crater, of each kind.")] = 200,
    engine: Annotated[str, typer.Option(help="Any of `crater-ray scan`.")] = "openvino-float",
    seed: Annotated[int, typer.Option(help="Decides all images.")] = 0,
    json_out: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder: what the last bundle finds and misses, one picture a trial.")
    ] = None,
) -> None:
    """Try bundles on foreign foil, craters in held-out photographs, strange photographs, crowds, other sharpness."""
    import json

    from crater_ray.network.bundle import load
    from training.data_sets.backgrounds import Photograph
    from training.evaluation.judge import ask, judge, markdown
    from training.evaluation.montage import draw_montage
    from training.evaluation.trials import draw_trials
    from training.finder.sources import read_arrays

    def held_out(name: str) -> list[Photograph]:
        return [Photograph(name, pixels) for pixels in read_arrays(source / name)] if source else []

    drawn = draw_trials(held_out("test.npz"), held_out("unseen.npz"), images, seed)
    figures = {}
    for folder in bundle:
        loaded = load(folder)
        answers = ask(loaded, drawn, engine)
        figures[f"{loaded.name} ({loaded.id})"] = judge(drawn, answers)
    if pictures:
        for name in ("foil", "photographs"):
            if name in drawn:
                draw_montage(drawn[name], answers[name], pictures / f"{name}.png")
    if json_out:
        json_out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(markdown(figures))
