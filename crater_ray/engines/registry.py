"""The engines that there are: each is a file beside this one and an entry here, from which all else follows.

Importing this file imports none of them.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from crater_ray.engines import processor
from crater_ray.engines.entry import Entry
from crater_ray.errors import UsageError

if TYPE_CHECKING:
    from crater_ray.engines.base import Engine, ScreenEngine
    from crater_ray.network.bundle import Bundle
    from crater_ray.network.screen import Screen

AUTO = "auto"


def _keras(bundle: Bundle, threads: int | None, dtype: str = "float32") -> Engine:
    from crater_ray.engines.keras_engine import KerasEngine

    return KerasEngine(bundle, threads, dtype)


def _keras_screen(bundle: Bundle, screen: Screen, threads: int | None) -> ScreenEngine:
    from crater_ray.engines.keras_screen import KerasScreen

    return KerasScreen(screen, threads)


def _openvino(bundle: Bundle, threads: int | None, numbers: str) -> Engine:
    from crater_ray.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(bundle, numbers, threads)


def _openvino_int8(bundle: Bundle, threads: int | None) -> Engine:
    from crater_ray.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(bundle, "int8", threads, find("openvino").ranges(bundle))


def _openvino_screen(bundle: Bundle, screen: Screen, threads: int | None) -> ScreenEngine:
    from crater_ray.engines.openvino_screen import OpenVinoScreen

    return OpenVinoScreen(bundle, screen, threads)


def _stand_in(bundle: Bundle, threads: int | None) -> Engine:
    from crater_ray.engines.stand_in import StandIn

    return StandIn(bundle)


def _stand_in_screen(bundle: Bundle, screen: Screen, threads: int | None) -> ScreenEngine:
    from crater_ray.engines.stand_in import StandInScreen

    return StandInScreen(screen)


def _tensorflow_in_bfloat16() -> bool:
    return os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and processor.computes_in_bfloat16()


_entry_keras = partial(Entry, kind="any", make_screen=_keras_screen)
_entry_openvino = partial(
    Entry,
    kind="cpu",
    make_screen=_openvino_screen,
    package="openvino",
    install="pip install openvino",
)

ENGINES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _entry_keras(name="keras", numbers="float32", about="what all others are compared with", make=_keras),
        _entry_keras(
            name="keras-bf16",
            numbers="bfloat16",
            about="quick on processors that compute in bfloat16 (AVX-512 BF16, AMX)",
            make=partial(_keras, dtype="mixed_bfloat16"),
            card="keras_bf16",
            exact="keras",
            quick_here=_tensorflow_in_bfloat16,
        ),
        _entry_openvino(
            name="openvino",
            numbers="int8",
            about="the quickest on most processors",
            make=_openvino_int8,
            card="openvino_int8",
            exact="openvino-float",
            calibrated=True,
        ),
        _entry_openvino(
            name="openvino-bf16",
            numbers="bfloat16",
            about="for processors that compute in bfloat16; needs no calibration",
            make=partial(_openvino, numbers="bf16"),
            card="openvino_bf16",
            exact="openvino-float",
            quick_here=processor.computes_in_bfloat16,
        ),
        _entry_openvino(
            name="openvino-float",
            numbers="float32",
            about="OpenVINO in full precision",
            make=partial(_openvino, numbers="f32"),
        ),
        Entry(
            name="stand-in",
            numbers="none",
            about="computes no network; to try everything around it",
            kind="any",
            make=_stand_in,
            make_screen=_stand_in_screen,
            computes=False,
        ),
    )
}
"""By name, in the order in which people see them."""


def find(name: str) -> Entry:
    """The entry of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENGINES:
        raise UsageError(f"--engine must be one of {', '.join([AUTO, *ENGINES])}; received: {name!r}")
    return ENGINES[name]


def create(name: str, bundle: Bundle, threads: int | None = None, threshold: float | None = None) -> Engine:
    """Make the engine of that name ready on this process's device.

    Args:
        name: as `crater_ray.engines.choice.resolve` gives it.
        bundle: the network.
        threads: processor threads to use; all when None. Ignored on GPUs.
        threshold: from which score an image is a candidate; the bundle's typical one when None. Where the card says
            so (`confirm`), scores near it are computed again in float32.

    Raises:
        UsageError: there is no such engine, or it cannot be had of this bundle here.
    """
    entry = find(name)
    entry.check(bundle)
    made = entry.make(bundle, threads)
    within = float(entry.figures(bundle).get("confirm") or 0.0)
    if not within or entry.exact is None:
        return made
    from crater_ray.engines.confirm import Confirming

    exact = find(entry.exact)
    threshold = bundle.typical_threshold if threshold is None else threshold
    return Confirming(made, lambda: exact.make(bundle, threads), threshold, within)


def create_screen(name: str, bundle: Bundle, screen: Screen, threads: int | None = None) -> ScreenEngine:
    """Make the screen ready that goes before an engine.

    Args:
        name: of the engine of the full network.
        bundle: the full network.
        screen: what to compute.
        threads: processor threads; all when None.
    """
    return find(name).make_screen(bundle, screen, threads)


def names_with_figures() -> list[str]:
    """The engines of which a bundle's card keeps how they agree with float32."""
    return [entry.name for entry in ENGINES.values() if entry.card]


def as_help() -> str:
    """The engines in a sentence, for the command line's help."""
    listed = [f"{entry.name} ({entry.numbers})" if entry.computes else entry.name for entry in ENGINES.values()]
    others = "; ".join(f"{entry.name} {entry.about}" for entry in ENGINES.values() if not entry.computes)
    return f"How the network is computed: {AUTO}, {', '.join(listed)}. {others}."


def as_markdown() -> str:
    """The engines as a table for the pages."""
    devices = {"cpu": "processor", "gpu": "GPU", "any": "GPU or processor"}
    rows = ["| `--engine` | convolutions in | runs on | needs | |", "|---|---|---|---|---|"]
    for entry in ENGINES.values():
        needs = [f"`{entry.install}`"] if entry.install else []
        needs += ["a calibration in the card"] if entry.calibrated else []
        cells = (f"`{entry.name}`", entry.numbers, devices[entry.kind], ", ".join(needs), entry.about)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
