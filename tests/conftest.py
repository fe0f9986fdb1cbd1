"""What tests share: a real S3 server, a real Ray, small archives, an untrained bundle; and how the suite runs."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from botocore.loaders import create_loader
from PIL import Image
from rich.console import Console

from testbed import local_azure, local_gcs
from testbed.local_azure import LocalAzure
from testbed.local_gcs import LocalGcs
from testbed.local_s3 import ENVIRONMENT, LocalS3, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLI = str(Path(sys.executable).with_name("crater-ray"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 600.0
"""Seconds after which what a test waits for will not come any more, on the slowest and busiest machine."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ctrl-C ends the suite, also where the code under test answers it or a test's own end fails."""

    def interrupt(*_: object) -> None:
        session.shouldstop = "interrupted"
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background, it is ignored
        signal.signal(signal.SIGINT, interrupt)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the largest share of slow tests come first, so that no worker is left with one at the end."""
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path] / tests[item.path])


@pytest.fixture(scope="session", autouse=True)
def _no_credentials_of_the_user() -> None:
    """Tests use the local server's credentials only, in every process that they start."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR"))]:
        del os.environ[name]
    os.environ["CLOUDSDK_CONFIG"] = os.devnull
    os.environ.update(ENVIRONMENT | local_gcs.ENVIRONMENT | local_azure.ENVIRONMENT)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests keep between scans, such as compiled graphs, is not the user's, in every process that they start."""
    os.environ["CRATER_RAY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _leases_settle_at_once() -> Iterator[None]:
    """Each scan of this process would wait a third of a second for another that begins in the same moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crater_ray.runs.lease.SETTLE_SECONDS", 0.02)
        yield


@pytest.fixture(scope="session", autouse=True)
def _services_are_read_once() -> Iterator[None]:
    """Each of the many S3 clients of this process would read the description of all of S3 anew, 1 MB of JSON."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_lower_priority() -> None:
    """Ray lets workers run at low priority: beside other work they would get next to nothing, and tests take hours."""
    os.environ.update(RAY_worker_niceness="0")


@pytest.fixture(scope="session")
def s3() -> Iterator[LocalS3]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[LocalGcs]:
    with local_gcs.serving() as server:
        yield server


@pytest.fixture(scope="session")
def azure() -> Iterator[LocalAzure]:
    with local_azure.serving() as server:
        yield server


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """A private Ray that scans of this process share."""
    from crater_ray.scanning.cluster import connected

    os.environ.update(RAY_metrics_report_interval_ms="500")  # tests look at metrics
    with connected(None):
        yield


@pytest.fixture
def shared_ray(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets processes that a test starts join the tests' Ray: starting one each would take most of the time."""
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


def make_images(folder: Path, count: int, size: tuple[int, int] = (100, 120), seed: int = 0) -> list[str]:
    """Noise JPEGs in the site's layout; brightness differs, so that the stand-in engine's scores do. Gives the keys."""
    rng = np.random.default_rng(seed)
    keys = []
    for number in range(count):
        key = f"fm_-{100000 + number}_{seed}"
        (folder / key).mkdir(parents=True)
        level = 20 + 200 * number // max(1, count - 1)
        pixels = rng.integers(level - 20, level + 20, size, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / key / f"{key}-001.jpg", quality=85)
        keys.append(key)
    return keys


def make_many(folder: Path, images: int, different: int) -> Path:
    """So many images, few of them different: those again under other names. Gives the folder."""
    keys = make_images(folder / "0", different)
    for copy in range(1, images // different):
        for key in keys:
            target = folder / str(copy) / key / f"{key}-001.jpg"
            target.parent.mkdir(parents=True)
            os.link(folder / "0" / key / f"{key}-001.jpg", target)
    return folder


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 small sound images."""
    folder = tmp_path_factory.mktemp("archive")
    make_images(folder, 120)
    return folder


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of fresh weights."""
    import keras

    from crater_ray.network.bundle import Bundle
    from crater_ray.network.stardust import build, read_weights

    keras.utils.set_random_seed(7)
    weights = read_weights(build("minmax"))
    folder = tmp_path_factory.mktemp("bundles") / "untrained"
    return Bundle(weights, "minmax", 0.5, {"recipe": "none"}, {}, "untrained").save(folder)


@pytest.fixture
def quiet() -> Console:
    return Console(file=open(os.devnull, "w"), force_terminal=False)


Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli() -> Cli:
    """Runs the command line in this process, which saves the start of another; gives its words and exit code."""
    from crater_ray.cli import main

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        words = ["crater-ray", *map(str, arguments)]
        written = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="\n") for file in written)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            try:
                code = main()
            except SystemExit as ended:
                code = ended.code
        for stream in (out, err):
            stream.flush()
        said = (io.TextIOWrapper(io.BytesIO(file.getvalue()), "utf-8").read() for file in written)
        return subprocess.CompletedProcess(words, code or 0, *said)

    return run


@pytest.fixture
def command() -> Cli:
    """Runs the installed command in a process of its own."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        words = [CLI, *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that asks nothing of the network by itself."""
    api = pytest.importorskip("playwright.sync_api", reason="the Python package playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet, timeout=1000 * PATIENCE)
        yield opened
        opened.close()
