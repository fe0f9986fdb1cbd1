"""What decoding an image costs, seen from outside: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import PATIENCE

_MEASURED = """
import re, sys, time
from pathlib import Path
from crater_ray.images.decode import decode
from crater_ray.images.status import Refusal
from PIL import Image
Image.init()
data = Path(sys.argv[1]).read_bytes()

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before, started = peak(), time.process_time()
answer = decode(data)
print(answer.status if isinstance(answer, Refusal) else "ok", (peak() - before) // 1024, time.process_time() - started)
"""


def decoded_alone(path: Path) -> tuple[str, int, float]:
    """Decode a file; gives `ok` or why not, MiB by which that raised the peak, and seconds of processor."""
    command = [sys.executable, "-c", _MEASURED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    said, megabytes, seconds = done.stdout.split()
    return said, int(megabytes), float(seconds)
