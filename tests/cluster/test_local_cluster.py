"""The cluster on which tests run: what Ray gives up on starting is ended and started again."""

from __future__ import annotations

import subprocess

import pytest

from testbed.local_cluster import START_ATTEMPTS, patiently


def test_what_did_not_start_in_time_is_ended_and_started_again() -> None:
    begun: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        begun.append(subprocess.Popen(["sleep", "600"]))
        if len(begun) == 1:
            raise RuntimeError("timed out")
        return len(begun)

    try:
        assert patiently(start) == 2
        assert begun[0].wait(60) == -9
        assert begun[1].poll() is None
    finally:
        for process in begun:
            process.kill()
            process.wait()


def test_what_never_starts_is_given_up() -> None:
    tried: list[None] = []

    def start() -> None:
        tried.append(None)
        raise RuntimeError("timed out")

    with pytest.raises(RuntimeError, match="timed out"):
        patiently(start)
    assert len(tried) == START_ATTEMPTS
