"""A scan killed at random moments and resumed: every image has one row at the end, and no finished part was redone."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from benchmarks import image_set, options
from benchmarks.record import Record

START_SECONDS = 180
"""A session that shows nothing for so long has failed."""
EARLY = 0.2
"""Share of the kills that come at a random moment of start-up; the others while parts are being published."""

MEANING = (
    "Each kill is SIGKILL to the driver's process group. A part counts as redone when it was sound before a kill and "
    "its bytes or its time changed afterwards. Lost: images settled but not published when the kill came are not "
    "counted; their shards are simply done in the next session."
)


def kills(
    images: Annotated[int, typer.Option("--images", metavar="N", min=1, help="Images of the run.")] = 1_000,
    times: Annotated[int, typer.Option("--kills", metavar="N", min=0, help="How often the driver is killed.")] = 10,
    shard_images: Annotated[int, typer.Option("--shard-images", metavar="N", min=1, help="Images per part.")] = 20,
    engine: options.Engine = "stand-in",
    bundle: options.BundleName = "random",
    distinct: options.Distinct = 50,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Decides the moments.")] = 0,
    json: options.Json = None,
) -> None:
    """Kill a scan at random moments, resume it, and count rows, parts and what was redone."""
    rng = random.Random(seed)
    made = image_set.make(min(distinct, images))
    settings = {"images": images, "kills": times, "shard_images": shard_images, "engine": engine, "seed": seed}
    record = Record("kills", settings, made.describe(images))
    with tempfile.TemporaryDirectory(dir=image_set.CACHE, prefix="kills-") as work:
        source = image_set.link(made, images, Path(work, "images"))
        out = Path(work, "run")
        network = options.bundle_folder(bundle, Path(work))
        command = ["scan", str(source), "--out", str(out), "--bundle", str(network), "--engine", engine]
        command += ["--shard-images", str(shard_images)]
        log = Path(work, "log")
        shards = -(-images // shard_images)
        sessions: list[dict[str, Any]] = []
        redone = 0
        known: dict[str, tuple[int, str]] = {}
        while len(sessions) < times:
            # Leave parts for the kills that are still to come.
            room = max(0, shards - len(known) - 1) // (times - len(sessions))
            session = _kill_once(command, out, log, rng, room)
            now = _parts(out)
            redone += sum(known[name] != now.get(name) for name in known)
            session |= {"parts_before": len(known), "parts_after": len(now)}
            known = now
            sessions.append(session)
            if session["ended_by_itself"]:
                break
        last = _run(command, log)
        now = _parts(out)
        redone += sum(known[name] != now.get(name) for name in known)
        verify = _run(["verify", str(out)], log)
        rows, keys = _rows(out)
    figures = {
        "meaning": MEANING,
        "kills": sum(not session["ended_by_itself"] for session in sessions),
        "killed_while_parts_were_published": sum(session["published"] > 0 for session in sessions),
        "sessions": sessions,
        "last_scan_exit": last,
        "verify_exit": verify,
        "rows": rows,
        "distinct_keys": keys,
        "parts": len(now),
        "parts_redone": redone,
    }
    record.figures = figures
    record.write(json)
    names = ("kills", "killed_while_parts_were_published", "parts", "parts_redone", "rows", "distinct_keys")
    record.show(
        f"{times} kills, {images:,} images in {shards} shards",
        ("what", "count"),
        [(name.replace("_", " "), f"{figures[name]:,}") for name in (*names, "last_scan_exit", "verify_exit")],
        MEANING,
    )
    if (verify, rows, keys, redone) != (0, images, images, 0):
        raise typer.Exit(1)


def _kill_once(command: list[str], out: Path, log: Path, rng: random.Random, room: int) -> dict[str, Any]:
    """Start a session, kill it at a random moment; returns what came of it."""
    before = len(_names(out))
    early = rng.random() < EARLY or room == 0
    wanted = 0 if early else rng.randint(1, max(1, room))
    delay = rng.uniform(0, 6) if early else rng.uniform(0, 0.15)
    started = time.monotonic()
    process = _start(command, log)
    try:
        while process.poll() is None and len(_names(out)) - before < wanted:
            if time.monotonic() - started > START_SECONDS:
                raise RuntimeError(f"no part within {START_SECONDS} s: {log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        ended = process.poll() is not None
        children = psutil.Process(process.pid).children(recursive=True) if not ended else []
    finally:
        _kill_group(process)
    _await_end(children)
    return {
        "early": early,
        "seconds": time.monotonic() - started,
        "published": len(_names(out)) - before,
        "ended_by_itself": ended,
    }


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "crater_ray.cli", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )


def _run(command: list[str], log: Path) -> int:
    process = _start(command, log)
    try:
        return process.wait(600)
    finally:
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _await_end(children: list[psutil.Process]) -> None:
    """Ray's processes notice that their driver is gone; what has not after a while is ended."""
    _, left = psutil.wait_procs(children, timeout=30)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _names(out: Path) -> list[Path]:
    return sorted((out / "parts").glob("part-*.parquet"))


def _parts(out: Path) -> dict[str, tuple[int, str]]:
    return {path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in _names(out)}


def _rows(out: Path) -> tuple[int, int]:
    import pyarrow.parquet as pq

    keys = [key for path in _names(out) for key in pq.read_table(path, columns=["key"])["key"].to_pylist()]
    return len(keys), len(set(keys))
