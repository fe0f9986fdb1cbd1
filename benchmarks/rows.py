"""What the pages say of each measurement: its rows, made from the JSON of the command and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.options import split_engine
from crater_ray.engines.registry import ENGINES
from crater_ray.watching.display import duration

Row = tuple[str, str, str]
"""What was measured; the figure; its spread."""


def _figure(figure: dict[str, Any], digits: int = 1, unit: str = "") -> tuple[str, str]:
    low, high = f"{figure['min']:,.{digits}f}", f"{figure['max']:,.{digits}f}"
    return f"{figure['median']:,.{digits}f}{unit}", f"{low}-{high}"


def _numbers(engine: str) -> str:
    name, screened = split_engine(engine)
    computes = name in ENGINES and ENGINES[name].computes
    numbers = f"{name}, {ENGINES[name].numbers}" if computes else name
    return f"screen, then {numbers}" if screened else numbers


def _size(images: dict[str, Any]) -> str:
    return f"{images['height']}x{images['width']}"


def _paper(record: dict[str, Any]) -> list[Row]:
    figures, size = record["figures"], _size(record["images"])
    rows = [
        (
            f"original protocol (`predict`, one {size} image at a time, float32), images a minute",
            *_figure(figures["protocol_images_a_minute"], 0),
        )
    ]
    for engine, rate in figures["scan_images_a_minute"].items():
        network = record["settings"].get("network", "stardust")
        what = f"scan ({network}, {_numbers(engine)}; {size}; {record['settings']['source']})"
        rows.append((f"{what}, images a minute", *_figure(rate, 0)))
        rows.append((f"{what} over the original protocol", *_figure(figures["times_protocol"][engine], 2, "x")))
    return rows


def _scan(record: dict[str, Any]) -> list[Row]:
    rows = []
    for row in record["figures"]["rows"]:
        what = f"scan ({_numbers(record['settings']['engine'])}; {_size(row)}; {row['source']})"
        rows.append((f"{what}, images a second", *_figure(row["scan"])))
        rows.append((f"{what} over a plain loop", *_figure(row["ratio"], 3)))
        rows.append((f"{what} over a plain loop, without head start", *_figure(row["ratio_drained"], 3)))
    return rows


def _forward(record: dict[str, Any]) -> list[Row]:
    best: dict[str, dict[str, Any]] = {}
    for row in record["figures"]["rows"]:
        held = best.get(row["engine"])
        if held is None or row["images_a_second"]["median"] > held["images_a_second"]["median"]:
            best[row["engine"]] = row
    rows = []
    for row in best.values():
        what = f"network alone ({_numbers(row['engine'])}; {record['settings']['size']}; {row['device']})"
        rows.append((f"{what}, images a minute", *_figure(_times(row["images_a_second"], 60), 0)))
        rows.append((f"{what}, share of the matrix-multiply rate", *_figure(_times(row["share"], 100), 0, "%")))
    return rows


def _stages(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    engine = _numbers(record["settings"]["engine"])
    rows = [(f"bound from single stages ({engine}), images a second", *_figure(figures["bound_images_a_second"]))]
    if "scan_share_of_bound" in figures:
        rate = _times(figures["scan_images_a_second"], 60)
        rows.append((f"scan ({engine}; {record['settings']['source']}), images a minute", *_figure(rate, 0)))
        rows.append((f"scan over that bound ({engine})", *_figure(figures["scan_share_of_bound"], 3)))
        rows.append((f"scan over the network alone ({engine})", *_figure(figures["scan_share_of_forward"], 3)))
    return rows


def _frames(record: dict[str, Any]) -> list[Row]:
    rows = []
    for row in record["figures"]["rows"]:
        what = (
            f"a pixel in frames of 768x1024 over one in images of 384x512 ({row['bundle']}, {_numbers(row['engine'])})"
        )
        rows.append((f"{what}, network and places", *_figure(row["alone"]["ratio"], 2)))
        if "scan" in row:
            rows.append((f"{what}, whole scan", *_figure(row["scan"]["ratio"], 2)))
    return rows


def _here(record: dict[str, Any]) -> list[Row]:
    return [(row["what"], *_figure(row["figure"], row["digits"])) for row in record["figures"]["rows"]]


def _peers(record: dict[str, Any]) -> list[Row]:
    network = record["settings"]["network"]
    return [
        (f"scan ({_numbers(engine)}) over {row['name']}, {network} network", *_figure(ratio, 2, "x"))
        for row in record["figures"]["rows"]
        for engine, ratio in row["scan_over_it"].items()
        if not row["name"].startswith("scan, ")
    ]


def _scale(record: dict[str, Any]) -> list[Row]:
    rows = []
    for row in record["figures"]["rows"]:
        scorers, nodes = (f"{row[name]} {name[: -(row[name] == 1) or None]}" for name in ("scorers", "nodes"))
        what = f"{scorers} on {nodes}, {record['settings']['device_ms']:g} ms an image"
        rows.append((f"{what}: efficiency", *_figure(_times(row["efficiency"], 100), 1, "%")))
        rows.append((f"{what}: driver, ms an image", *_figure(row["driver_ms_per_image"], 3)))
    return rows


def _archive(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    engine = _numbers(record["settings"]["engine"])
    seconds = figures["projected"]["at_the_scan_rate_seconds"]
    rows = [(f"{figures['archive_images']:,} images ({engine}), projected", duration(seconds), "")]
    if real := figures.get("real"):
        rows.append((f"{real['asked']:,} images ({engine}), run whole", duration(real["whole_seconds"]), ""))
    return rows


def _agreement(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"{_numbers(record['settings']['engine'])} against float32, {figures['images']:,} images"
    kept = f"{100 * figures['kept_share']:.2f}% of {figures['candidates']:,}"
    return [
        (f"{what}: candidates kept", kept, ""),
        (f"{what}: largest score difference", f"{figures['largest_difference']:.4f}", ""),
    ]


def _screening(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"screening ({_numbers(record['settings']['engine'])}), {figures['images']:,} images"
    kept = f"{100 * figures['kept_share']:.2f}% of {figures['candidates']:,}"
    rows = [
        (f"{what}: candidates of the full network kept", kept, ""),
        (f"{what}: images that go to the full network", f"{100 * figures['pass_share']:.1f}%", ""),
        (f"{what}: audits whose bound held", f"{figures['audits_held']} of {figures['audits']}", ""),
    ]
    if figures.get("recall_lost_points") is not None:
        rows.append((f"{what}: crater recall lost, points", f"{figures['recall_lost_points']:.2f}", ""))
    return rows


def _memory(record: dict[str, Any]) -> list[Row]:
    rows = []
    for run in record["figures"]["runs"]:
        rows.append((f"driver's peak memory, {run['images']:,} images", f"{run['peak_mib']:.0f} MiB", ""))
        for role, held in ({"driver": run} | run["others"] if "others" in run else {}).items():
            what = f"{role} while scoring {run['images']:,} images, and its growth from the first half to the second"
            rows.append((what, f"{held['steady_mib']:.0f} MiB, {held['drift_mib']:+.0f}", ""))
    return rows


def _per_foil(record: dict[str, Any]) -> list[Row]:
    f = record["figures"]
    return [
        (
            f"craters of {f['craters']} in {row['images']:,} images to review, one threshold",
            f"{row['one']:,}",
            f"one per foil: {row['own']:,}",
        )
        for row in f["budgets"]
    ]


def _completeness(record: dict[str, Any]) -> list[Row]:
    f = record["figures"]
    return [
        (f"completeness: {what} that its 95% intervals cover", f"{f[f'{name}_covered']} of {f[name]}", "")
        for what, name in (
            ("cells of size and foil", "cells"),
            ("densities", "estimates"),
            ("densities without craters", "limits"),
        )
    ]


def _planting(record: dict[str, Any]) -> list[Row]:
    f, images = record["figures"], record["settings"]["images"]
    what = f"completeness with {images:,} planted craters, times the scan of {images:,} images"
    return [(what, f"{f['ratio']['median']:.2f}", f"{f['ratio']['min']:.2f} to {f['ratio']['max']:.2f}")]


def _large_run(record: dict[str, Any]) -> list[Row]:
    what = f"run of {record['settings']['rows']:,} rows"
    return [
        (f"{what}: `{row['command']}`, seconds", f"{row['seconds']:,.1f}", f"{row['peak_mib']:,} MiB")
        for row in record["figures"]["rows"]
    ]


def _manifest(record: dict[str, Any]) -> list[Row]:
    what = f"manifest of {record['settings']['keys']:,} keys"
    figures = record["figures"]
    return [
        (f"{what}, seconds", *_figure(figures["total_seconds"])),
        (f"{what}, peak memory in MiB", *_figure(figures["peak_mib"], 0)),
    ]


def _kills(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"{record['settings']['images']:,} images, killed {figures['kills']} times and resumed"
    return [
        (f"{what}: rows", f"{figures['rows']:,}", ""),
        (f"{what}: finished parts redone", f"{figures['parts_redone']} of {figures['parts']}", ""),
    ]


def _places(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"{figures['detected']:,} detected of {figures['images']:,} simulated craters"
    return [
        (f"{what}: place within 8 px + half a diameter", f"{100 * figures['place_within']:.1f}%", ""),
        (f"{what}: diameter within 25%", f"{100 * figures['diameters_right']:.1f}%", ""),
    ]


def _similar(record: dict[str, Any]) -> list[Row]:
    what = f"look-alikes among {record['settings']['candidates']:,} candidates"
    return [(f"{what}, seconds", *_figure(record["figures"]["answer_seconds"], 3))]


def _start(record: dict[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for row in record["figures"]["rows"]:
        images = f"{row['images']:,} image" + "s" * (row["images"] > 1)
        for name, what in (("first_row_seconds", "to its first row"), ("seconds", "to its end")):
            title = f"scan of {images} ({record['settings']['engine']}), from the command {what}, seconds"
            rows.append((title, *_figure(row["later_runs"][name])))
            rows.append((f"{title}, the first time", f"{row['first_run'][name]:.1f}", ""))
    return rows


def _rescan(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"rescan of {figures['images_chosen']:,} of {figures['images']:,} images"
    read = f"{figures['images_read']:,} and {figures['reads_of_others']:,}"
    return [(f"{what}: chosen and other images read", read, "")]


def _gallery(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"gallery of {figures['candidates']:,} candidates"
    return [
        (f"{what}, seconds", f"{figures['made_seconds']:,}", ""),
        (f"{what}: first page opened in Chromium, seconds", *_figure(figures["opened_seconds"], 2)),
    ]


def _node_loss(record: dict[str, Any]) -> list[Row]:
    what = f"one of {record['settings']['nodes']} nodes killed: time to the end over what the others need"
    return [(what, *_figure(record["figures"]["ratio"], 2))]


def _chaos(record: dict[str, Any]) -> list[Row]:
    figures = record["figures"]
    what = f"{record['images']['images']:,} images, {figures['kills']} kills, {record['settings']['faults']:.0%} faults"
    return [
        (f"{what}: lost and doubled", f"{figures['lost']} and {figures['doubled']}", ""),
        (f"{what}: scored again", f"{100 * figures['redone_share']:.1f}%", ""),
    ]


def _times(figure: dict[str, Any], factor: float) -> dict[str, Any]:
    return {name: factor * figure[name] for name in ("median", "min", "max")}


RENDERERS: dict[str, Callable[[dict[str, Any]], list[Row]]] = {
    "paper": _paper,
    "scan": _scan,
    "forward": _forward,
    "frames": _frames,
    "here": _here,
    "stages": _stages,
    "peers": _peers,
    "scale": _scale,
    "archive": _archive,
    "agreement": _agreement,
    "screening": _screening,
    "memory": _memory,
    "manifest": _manifest,
    "large-run": _large_run,
    "kills": _kills,
    "places": _places,
    "completeness": _completeness,
    "planting": _planting,
    "per-foil": _per_foil,
    "start": _start,
    "rescan": _rescan,
    "gallery": _gallery,
    "similar": _similar,
    "node-loss": _node_loss,
    "chaos": _chaos,
}
