"""Threads that ask an OpenVINO graph at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

AT_ONCE = """
import os, sys, threading
import numpy as np
from crater_ray.engines.openvino_engine import OpenVinoEngine
from crater_ray.network.bundle import load

images = np.random.default_rng(5).integers(0, 255, (10, 120, 140), dtype=np.uint8)
engine = OpenVinoEngine(load(sys.argv[1]), "f32", threads=2)
if sys.argv[2:]:
    engine.score(images)  # compiles, and keeps the graph
    os._exit(0)
together = threading.Barrier(4)

def ask():
    together.wait()
    engine.score(images)

engine._streams(*images.shape, False)
threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os._exit(0)
"""
"""A process whose first images come from several threads at once, as those of a scorer do."""


@pytest.mark.slow
def test_first_images_may_come_from_several_threads_when_the_graph_was_kept(untrained: Path) -> None:
    """OpenVINO's lookup of NumPy is not safe then: one thread waits for another with Python's lock in its hand.

    Without the cure about half of such processes hang.
    """
    python = [sys.executable, "-c", AT_ONCE, str(untrained)]
    subprocess.run([*python, "compile"], check=True, timeout=120)
    for _ in range(4):
        subprocess.run(python, check=True, timeout=120)
