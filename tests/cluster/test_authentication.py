"""A Ray cluster started with the settings of cluster/ lets nobody in without its token, and writes no secret down."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cluster.settings import environments, launcher
from testbed.local_s3 import SECRET_KEY, LocalS3
from tests.conftest import CLI, PATIENCE

FILES = [
    Path(__file__).parents[2] / "cluster" / name
    for name in ("aws.yaml", "onpremise.yaml", "kuberay/rayjob.yaml", "slurm.sh")
]
RAY = str(Path(sys.executable).with_name("ray"))
TOKEN = "5b0c0f1e" * 8
START_ATTEMPTS = 3
pytestmark = pytest.mark.slow
ASK = """
import ray
ray.init({address!r})
print(len([node for node in ray.nodes() if node["Alive"]]), "alive")
"""
ASK_ONCE = """
import logging
import ray
ray.util.connect({address!r}, connection_retries=1, ray_init_kwargs={{"logging_level": logging.DEBUG}})
print(len([node for node in ray.nodes() if node["Alive"]]), "alive")
"""
"""Says why it was refused; tried as often as Ray does by itself, that takes half a minute."""


@dataclass(frozen=True)
class Guarded:
    """A cluster that runs.

    Attributes:
        address: where it answers.
        client_address: where it answers Ray's own remote client.
        client: variables of a client of the same user, none of them about Ray.
        logs: the folder that Ray's processes log to.
        clients: what was run; what is left of it at the end, as after Ctrl-C, is killed.
    """

    address: str
    client_address: str
    client: dict[str, str]
    logs: Path
    clients: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.Popen(
            command, env=self.client | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.clients.append(process)
        said, complained = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(command, process.returncode, said, complained)

    def end(self) -> None:
        for process in self.clients:
            process.kill()


def free_ports(count: int) -> list[str]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [str(listener.getsockname()[1]) for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def common_settings() -> dict[str, str]:
    """What all files set alike, on every kind of node."""
    nodes = [set(variables.items()) for path in FILES for variables in environments(path).values()]
    return dict(set.intersection(*nodes))


@pytest.fixture(scope="module")
def guarded(s3: LocalS3) -> Iterator[Guarded]:
    """A head as in aws.yaml, on this machine and on ports of its own; in a short path, as Ray's sockets need it."""
    with TemporaryDirectory(prefix="guarded-", ignore_cleanup_errors=True) as folder:
        yield from guarded_in(Path(folder))


def guarded_in(folder: Path) -> Iterator[Guarded]:
    home = folder / "home"
    home.mkdir()
    client = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    client |= {"HOME": str(home), "TMPDIR": str(folder)}
    token = folder / "token"
    token.write_text(TOKEN)
    # The machine's own setting is no authentication: what guards this cluster comes from the files, or does not.
    environment = client | {"RAY_AUTH_MODE": "disabled"} | common_settings() | {"RAY_AUTH_TOKEN_PATH": str(token)}
    [start] = [line for line in launcher(FILES[0])["head_start_ray_commands"] if line.startswith("ray start")]
    command = [RAY, *shlex.split(start)[1:], "--block", "--num-cpus=2"]
    command = [word for word in command if not word.startswith(("--autoscaling-config", "--port"))]
    with ExitStack() as running:
        port, client_port = started(running, command, environment, folder)
        guarded = Guarded(f"127.0.0.1:{port}", f"ray://127.0.0.1:{client_port}", client, folder)
        running.callback(guarded.end)
        yield guarded


def started(running: ExitStack, command: list[str], environment: dict[str, str], folder: Path) -> list[str]:
    """Start a head and wait for it; gives its two ports. On a busy machine Ray may give up on starting: then again."""
    said = ""
    for attempt in range(START_ATTEMPTS):
        ports = free_ports(2)
        where = [f"--temp-dir={folder / f'r{attempt}'}", f"--port={ports[0]}", f"--ray-client-server-port={ports[1]}"]
        log = folder / f"log-{attempt}"
        with log.open("wb") as file:
            head = subprocess.Popen(
                [*command, *where], env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        running.callback(stopped, head)
        while head.poll() is None:
            if b"Ray runtime started" in log.read_bytes():
                return ports
            time.sleep(0.2)
        said = log.read_text()[-2000:]
    raise RuntimeError(said)


def stopped(head: subprocess.Popen[bytes]) -> None:
    head.send_signal(signal.SIGTERM)
    try:
        head.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()


def test_files_agree_on_what_guards_a_cluster() -> None:
    assert {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}.items() <= common_settings().items()


def test_clients_without_the_token_are_refused(guarded: Guarded, archive: Path, tmp_path: Path) -> None:
    """A scan says so in words; Ray's own client gets no connection either. All ask at once."""
    strangers = {
        "nothing": {},
        "disabled": {"RAY_AUTH_MODE": "disabled"},
        "wrong": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN[::-1]},
    }
    scan = [CLI, "scan", str(archive), "--engine", "stand-in", "--address", guarded.address, "--out"]
    ask = [sys.executable, "-c", ASK_ONCE.format(address=guarded.client_address.removeprefix("ray://"))]
    with ThreadPoolExecutor(4) as pool:
        scans = {
            name: pool.submit(guarded.run, *scan, str(tmp_path / name), **variables)
            for name, variables in strangers.items()
        }
        asked = pool.submit(guarded.run, *ask, **strangers["wrong"])
    for name, future in scans.items():
        answer = future.result()
        assert answer.returncode == 1, (name, answer.stderr)
        assert "cannot be reached: it serves only those who have its token" in answer.stderr
        assert "RAY_AUTH_TOKEN" in answer.stderr
        assert "Traceback" not in answer.stderr
        assert not list((tmp_path / name).glob("parts/*"))
    assert asked.result().returncode != 0
    assert "alive" not in asked.result().stdout
    assert "token" in asked.result().stderr


def test_client_with_the_token_is_served_and_nothing_secret_is_written(
    guarded: Guarded, s3: LocalS3, archive: Path, tmp_path: Path
) -> None:
    """A scan from and to a bucket that needs credentials: neither they nor the token are in results, words or logs."""
    with suppress(s3.client.exceptions.BucketAlreadyOwnedByYou, s3.client.exceptions.BucketAlreadyExists):
        s3.client.create_bucket(Bucket="guarded")
    s3.upload(archive, "guarded", "archive/")
    storage = ["--endpoint-url", s3.endpoint_url]
    known = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    scan = [CLI, "scan", "s3://guarded/archive", "--out", "s3://guarded/run", "--engine", "stand-in", *storage]
    ask = [sys.executable, "-c", ASK.format(address=guarded.client_address)]
    scanned = guarded.run(*scan, "--address", guarded.address, **known)
    # On a busy machine Ray may give up on starting a client's server, as on starting a head, or ask for the command
    # line of one that has ended: then again.
    for _ in range(START_ATTEMPTS):
        asked = guarded.run(*ask, **known)
        if not any(words in asked.stderr for words in ("Starting Ray client server failed", "psutil.ZombieProcess")):
            break
    answers = [scanned, asked, guarded.run(CLI, "verify", "s3://guarded/run", *storage)]
    assert [answer.returncode for answer in answers] == [0, 0, 0], [answer.stderr for answer in answers]
    assert "1 alive" in answers[1].stdout

    listed = s3.client.list_objects_v2(Bucket="guarded", Prefix="run/")["Contents"]
    written = {
        entry["Key"]: s3.client.get_object(Bucket="guarded", Key=entry["Key"])["Body"].read() for entry in listed
    }
    assert {"run/run.json", "run/manifest.parquet", "run/_SUCCESS"} <= set(written)
    written |= {"what commands said": "".join(answer.stdout + answer.stderr for answer in answers).encode()}
    logs = [path for path in guarded.logs.rglob("*") if path.is_file() and path.name != "token"]
    assert any(path.name.startswith("worker-") for path in logs), "Ray's logs are not where they were looked for"
    written |= {str(path): path.read_bytes() for path in logs}
    for name, content in written.items():
        assert TOKEN.encode() not in content, name
        assert SECRET_KEY.encode() not in content, name
