"""What keeps Ray from starting or being joined is one line with its cure, before anything is listed."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from crater_ray.errors import CraterRayError
from crater_ray.scanning import preflight
from tests.conftest import PATIENCE, Cli, make_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    make_images(tmp_path / "images", 2)
    return tmp_path / "images"


def one_line(command: Cli, images: Path) -> str:
    answer = command("scan", images, "--out", images.parent / "run", "--engine", "stand-in")
    assert answer.returncode == 1, answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line]
    assert len(lines) == 1, answer.stderr
    assert not (images.parent / "run" / "manifest.parquet").exists()
    return lines[0]


@contextmanager
def silent() -> Iterator[int]:
    """A port at which the system takes connections, but nobody ever answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextmanager
def other_service() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@contextmanager
def other_grpc_service() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


@contextmanager
def mute_http2() -> Iterator[int]:
    """A port that greets as HTTP/2 does, and answers nothing that it is asked."""

    class Greets(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"\0\0\0\4\0\0\0\0\0")  # its settings, all as usual
            while self.request.recv(65536):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greets) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


IMPATIENT = """
from crater_ray import cli
from crater_ray.scanning import preflight
preflight.PATIENCE_SECONDS = 0.6
cli.main()
"""
"""Asks a cluster that does not answer twice."""


def impatient(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IMPATIENT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_a_dead_cluster_is_one_line(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    said = one_line(impatient, images)
    assert "No Ray cluster answers at 127.0.0.1:9 (RAY_ADDRESS=127.0.0.1:9)" in said
    assert "Connection refused" in said
    assert "unset RAY_ADDRESS" in said


def test_whatever_does_not_speak_as_ray_does_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(CraterRayError, match=r"No Ray cluster answers at no-such-host:6379 \(--address"):
        preflight.check("no-such-host:6379")
    with pytest.raises(CraterRayError, match=r"127\.0\.0\.1:9 .*refused"):
        preflight.check("ray://127.0.0.1:9")
    with monkeypatch.context() as patch, silent() as port:
        patch.setattr(preflight, "_ANSWER_SECONDS", 0.5)
        with pytest.raises(CraterRayError, match="does not answer in time"):
            preflight.check(f"127.0.0.1:{port}")
    with other_service() as port, pytest.raises(CraterRayError, match="what answers there is not Ray"):
        preflight.check(f"127.0.0.1:{port}")
    for scheme in ("", "ray://"):
        with other_grpc_service() as port, pytest.raises(CraterRayError, match="what answers there is not Ray"):
            preflight.check(f"{scheme}127.0.0.1:{port}")
    monkeypatch.setattr(preflight, "_ANSWER_SECONDS", 0.5)
    with mute_http2() as port, pytest.raises(CraterRayError, match="does not answer in time"):
        preflight.check(f"127.0.0.1:{port}")


def test_a_living_cluster_passes(ray_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(preflight, "PATIENCE_SECONDS", 0.0)
    address = ray.get_runtime_context().gcs_address
    preflight.check(address)
    preflight.check(f"localhost:{address.rpartition(':')[2]}")
    monkeypatch.setenv("RAY_ADDRESS", address)
    preflight.check(None)


def test_a_long_folder_for_sockets_is_one_line(images: Path, command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder = images.parent / "job_4711.scratch.of.the.nodes"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    said = one_line(command, images)
    assert f"TMPDIR={folder}" in said
    assert "RAY_TMPDIR=/tmp" in said
    monkeypatch.setenv("RAY_TMPDIR", f"{folder}/ü")
    with pytest.raises(CraterRayError, match=f"RAY_TMPDIR={folder}/ü: the path has"):
        preflight.check(None)


def test_the_cure_for_a_long_folder_cures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp/" + "x" * 80)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    preflight.check(None)
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null")
    with pytest.raises(CraterRayError, match=r"/dev/null/ray.*RAY_TMPDIR=/tmp"):
        preflight.check(None)
    monkeypatch.setenv("RAY_TMPDIR", "/proc/nowhere")
    with pytest.raises(CraterRayError, match=r"/proc/nowhere/ray.*RAY_TMPDIR=/tmp"):
        preflight.check(None)


def test_a_home_that_cannot_be_made_is_one_line(images: Path, command: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nobody")
    said = one_line(command, images)
    assert "home folder '/proc/nobody'" in said
    assert "Set HOME to a folder that can be written" in said
    for home in ("/dev/null", "/proc/self/fd/nobody/home", "/sys/kernel"):
        monkeypatch.setenv("HOME", home)
        with pytest.raises(CraterRayError, match=f"home folder '{home}'.*Set HOME"):
            preflight.check(None)
    monkeypatch.setenv("HOME", str(images.parent))
    preflight.check(None)
    assert os.listdir(images.parent / ".ray") == []
