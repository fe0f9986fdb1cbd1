"""Options that several commands share, and the network they all mean by --bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from crater_ray.engines.choice import resolve
from crater_ray.engines.openvino_graph import QUANTISED
from crater_ray.engines.registry import ENGINES
from crater_ray.errors import UsageError
from crater_ray.network.bundle import DEFAULT, SHIPPED, Bundle, load, shipped
from crater_ray.network.stardust import CONVOLUTIONS, DENSE, Weights

Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write figures and environment there.")]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="How often; medians are given.")]
Engine = Annotated[
    str,
    typer.Option("--engine", metavar="NAME", help="How the network is computed; with +screen, the screen before it."),
]
BundleName = Annotated[
    str,
    typer.Option(
        "--bundle", metavar="DIR", help="The network: a folder, the name of a shipped one, or `random` (untrained)."
    ),
]
Distinct = Annotated[
    int, typer.Option("--distinct", metavar="N", min=1, help="Different images; more keys repeat them.")
]
Sources = Annotated[str, typer.Option("--sources", metavar="s3,local", help="Where the images are read from.")]


SCREENED = "+screen"
"""At the end of an engine's name: with the bundle's screen before it."""


def bundle_folder(name: str, scratch: Path) -> Path:
    """The folder of the bundle that `--bundle` names; speed does not depend on what a network has learnt.

    Args:
        name: a folder, the name of a shipped bundle, or `random`.
        scratch: where a random one is made.
    """
    if name == "random":
        # Speed does not depend on a calibration either, but the 8-bit engine refuses to work without.
        ranges = dict.fromkeys(QUANTISED, 16.0)
        figures = {entry.card: {"ranges": ranges} for entry in ENGINES.values() if entry.card and entry.calibrated}
        return Bundle(random_weights(), "sigma-clip", 0.5, figures=figures, name="random").save(scratch / "random")
    named = {"default": DEFAULT} | {one: SHIPPED / one for one in shipped()}
    folder = named.get(name) or Path(name).absolute()
    load(folder)
    return folder


def resolve_engine(name: str, bundle: str) -> str:
    """The engine that a name stands for with this bundle; `+screen` at its end stays.

    Raises:
        UsageError: it cannot be had.
    """
    engine, screened = split_engine(name.strip())
    network = None if bundle == "random" else load(bundle)
    if screened and (network is None or network.screen is None):
        raise UsageError(f"The bundle {bundle!r} has no screen. Make one with `python -m training distill`.")
    return resolve(engine, network, screened=screened) + (SCREENED if screened else "")


def split_engine(name: str) -> tuple[str, bool]:
    """`openvino+screen` to the engine and whether the screen goes before it."""
    return name.removesuffix(SCREENED), name.endswith(SCREENED)


def random_weights(seed: int = 0) -> Weights:
    """He-normal weights and zero biases of the network, made without Keras."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[str, tuple[int, ...]]] = []
    channels = 1
    for number, (filters, _) in enumerate(CONVOLUTIONS, start=1):
        shapes.append((f"conv{number}", (3, 3, channels, filters)))
        channels = filters
    for number, units in enumerate((*DENSE, 1), start=1):
        shapes.append((f"dense{number}", (channels, units)))
        channels = units
    weights: Weights = {}
    for name, shape in shapes:
        deviation = np.sqrt(2.0 / np.prod(shape[:-1]))
        weights[f"{name}/kernel"] = (rng.standard_normal(shape) * deviation).astype(np.float32)
        weights[f"{name}/bias"] = np.zeros(shape[-1], np.float32)
    return weights


def parse_sources(text: str) -> list[str]:
    """`s3,local` to a list.

    Raises:
        UsageError: there is another word in it.
    """
    names = [name.strip() for name in text.split(",")]
    if not set(names) <= {"s3", "local"}:
        raise UsageError(f"--sources must be s3, local or both with a comma; received: {text!r}")
    return names
