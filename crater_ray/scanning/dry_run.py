"""A rehearsal of a scan: what it would take, from a listing and a short calibration; writes nothing."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from crater_ray.errors import CraterRayError
from crater_ray.images.picture import Reading
from crater_ray.images.sidecars import suffixes_in
from crater_ray.images.status import OK, UNREADABLE
from crater_ray.network.bundle import load as load_bundle
from crater_ray.runs import part
from crater_ray.runs.bars import Bars
from crater_ray.runs.left_out import passed_over
from crater_ray.scanning.cluster import connected, devices, processors
from crater_ray.scanning.engine import choose_engine
from crater_ray.scanning.loader import BLOCK_IMAGES, Loaded, load
from crater_ray.scanning.scan import Choice, list_archive
from crater_ray.scanning.scorer import Scorer
from crater_ray.settings import ScanSettings, screen_of, without_needless_screen
from crater_ray.storage.folder import open_folder
from crater_ray.watching.display import duration, say

if TYPE_CHECKING:
    from rich.console import Console

CALIBRATION_ROUNDS = 3


def dry_run(settings: ScanSettings, console: Console, choice: Choice | None = None) -> None:
    """Say what a scan would do: images, shards, devices, expected time.

    Args:
        settings: the scan's settings.
        console: where to say it.
        choice: these images instead of those that the source lists.

    Raises:
        CraterRayError: no image could be read or no scorer started.
    """
    import ray

    bundle = load_bundle(settings.bundle)
    settings, note = without_needless_screen(settings, bundle)
    if note:
        say(console, note)
    engine = choose_engine(settings, bundle, console).engine
    screen = screen_of(settings, bundle)
    held = next(open_folder(settings.out, settings.access).names(), None)
    ignored, repeated = "", 0
    if choice:
        table, sidecars = choice.images(), choice.sidecars
    else:
        table, listing, repeated = list_archive(settings, console)
        ignored, sidecars = passed_over(listing.passed_over()), suffixes_in(listing.ignored)
    reading = Reading(settings.crop, settings.pixel_nm, sidecars)
    images = table.num_rows
    shards = -(-images // settings.shard_images)
    names = part.name(0) if shards == 1 else f"{part.name(0)} to {part.name(shards - 1)}"
    say(console, f"source   {settings.source if choice else listing.source}: {images:,} images")
    for note in (ignored, f"{repeated:,} repeated entries taken once" if repeated else ""):
        if note:
            say(console, f"         {note}")
    say(console, f"output   {settings.out}: {shards:,} {'shard' if shards == 1 else 'shards'}, {names}")
    if held:
        say(console, "         it is not empty: a scan would go on with the run there, or refuse")
    say(console, f"bundle   {bundle.name} {bundle.id}, engine {engine}" + (f", screen {screen.id}" if screen else ""))
    with connected(settings.address):
        found = devices()
        if not found:
            raise CraterRayError("Ray offers neither a GPU nor a processor for a scorer.")
        device = found[0]
        rng = np.random.default_rng(settings.selection.seed)
        rows = np.sort(rng.choice(images, min(images, BLOCK_IMAGES), replace=False))
        uris = [table["uri"][int(row)].as_py() for row in rows]
        scorer = ray.remote(Scorer).options(num_cpus=0, num_gpus=1 if device.gpu else 0)
        actor = scorer.remote(bundle, engine, 1.0, device.threads or None, settings.screen)
        summary, pixels = ray.remote(load).options(num_returns=2).remote(uris, settings.access, True, None, reading)
        loaded: Loaded = ray.get(summary)
        if not loaded.readable:
            raise CraterRayError(
                f"None of {loaded.done} images tried can be read; the first: {loaded.values['error'][0]}"
            )
        name = ray.get(actor.device.remote(), timeout=300)
        seconds_per_image = _calibrate(actor, pixels, loaded)
        loading = (loaded.seconds_fetching + loaded.seconds_decoding) / loaded.done / processors()
        each = max(seconds_per_image / len(found), loading)
        say(console, f"devices  {len(found)}: {name}" + (" and others" if len(found) > 1 else ""))
        unreadable = loaded.done - loaded.readable
        why = Counter(status for status in loaded.values["status"] if status not in (OK, UNREADABLE))
        named = f" ({', '.join(f'{count} {status}' for status, count in sorted(why.items()))})" if why else ""
        say(console, f"tried    {loaded.done} images at random, {unreadable} of them unreadable{named}")
        _say_what_was_seen(console, loaded)
        say(console, f"expected {60 / each:,.0f} images a minute, {duration(images * each)} in all once it runs")


def _say_what_was_seen(console: Console, loaded: Loaded) -> None:
    """What the images tried have of bars, and of pixel sizes."""
    bars = Bars()
    bars.note(*(loaded.values[name] for name in ("status", "bar", "bar_from")))
    if bars:
        say(console, f"bars     {bars.text()}")
    sizes = [size for size in loaded.values["pixel_nm"] if size]
    if sizes:
        low, high = f"{min(sizes):.4g}", f"{max(sizes):.4g}"
        width = low if low == high else f"{low} to {high}"
        say(console, f"pixels   {width} nm wide, known for {len(sizes):,} of {loaded.readable:,} images")


def _calibrate(actor: object, pixels: object, loaded: Loaded) -> float:
    """Seconds of computing per image: the median of a few rounds after one to warm up."""
    import ray

    score = actor.score  # type: ignore[attr-defined]
    ray.get(score.remote(pixels))
    seconds = []
    for _ in range(CALIBRATION_ROUNDS):
        started = time.perf_counter()
        ray.get(score.remote(pixels))
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) / loaded.readable
