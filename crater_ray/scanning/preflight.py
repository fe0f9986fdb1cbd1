"""Before Ray is started or joined: what would keep it from that, found in seconds and said in one line with its cure.

Ray itself tries a cluster that does not answer for a quarter of an hour, and names causes without cures.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from crater_ray.errors import CraterRayError

PATIENCE_SECONDS = 10.0
"""So long a cluster may take to answer: it may have been started a moment ago."""
CURE = "Check --address (or RAY_ADDRESS), and on clusters with tokens RAY_AUTH_MODE and RAY_AUTH_TOKEN."
_SOCKET_PATH = 107
"""The longest path of a socket that Linux takes, in bytes."""
_SOCKET_NAME = "/ray/session_2026-11-28_17-23-40_953528_{pid}/sockets/plasma_store"
"""The longest that Ray puts below its folder for temporary files."""
_ANSWER_SECONDS = 5.0
"""So long one question may take."""
_OF_A_HEAD = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_OF_A_CLIENT_SERVER = "/ray.rpc.RayletDriver/ClusterInfo"
"""What Ray answers, if only with a word about a missing token, and no other service does."""


def check(address: str | None) -> None:
    """Make sure that Ray can be joined or started, as far as that can be told beforehand.

    Args:
        address: as for `crater_ray.scanning.cluster.connected`.

    Raises:
        CraterRayError: it cannot.
    """
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    if wanted == "local":
        _check_folder()
        _check_home()
        return
    where = _host_and_port(wanted)
    if where is None:
        return  # Ray itself finds it, or says what is wrong with it
    given = f"--address {wanted}" if address else f"RAY_ADDRESS={wanted}"
    stop = time.monotonic() + PATIENCE_SECONDS
    question = _OF_A_CLIENT_SERVER if wanted.startswith("ray://") else _OF_A_HEAD
    while (problem := _no_answer_here(*where, question)) is not None:
        if isinstance(problem, PermissionError):
            raise CraterRayError(f"The Ray cluster at {wanted!r} cannot be reached: {problem}. {CURE}")
        if time.monotonic() > stop or isinstance(problem, socket.gaierror):
            raise CraterRayError(
                f"No Ray cluster answers at {where[0]}:{where[1]} ({given}): {_reason(problem)}. Check that it runs "
                "(`ray status`) and that the address is its head's; to scan on this machine alone, leave it out "
                "(`unset RAY_ADDRESS`)."
            )
        time.sleep(0.5)


def _host_and_port(address: str) -> tuple[str, int] | None:
    if address == "auto":
        try:  # the cluster that `ray start` noted on this machine; it may have ended since
            from ray._private.services import canonicalize_bootstrap_address_or_die

            address = canonicalize_bootstrap_address_or_die("auto")
        except Exception:
            return None
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if separator and port.isdecimal() and "/" not in host else None


def _no_answer_here(host: str, port: int, question: str) -> OSError | None:
    """As `_no_answer`; of this machine's own Ray, which may listen on its outer address alone, at both."""
    problem = _no_answer(host, port, question)
    if problem is not None and host in ("127.0.0.1", "localhost", "::1"):
        import ray

        return _no_answer(ray.util.get_node_ip_address(), port, question) and problem
    return problem


def _no_answer(host: str, port: int, question: str) -> OSError | None:
    """Why nothing at this place answers as Ray does; None if it does."""
    try:
        with socket.create_connection((host, port), timeout=3.0):
            pass
    except TimeoutError:
        return TimeoutError("it does not answer in time")
    except OSError as problem:
        return problem
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return None
    import grpc

    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with grpc.insecure_channel(place, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(question)(b"", timeout=_ANSWER_SECONDS)
        except grpc.RpcError as answer:
            code = answer.code()
            if code is grpc.StatusCode.UNAUTHENTICATED and not _token_opens(channel.unary_unary(question)):
                return PermissionError("it serves only those who have its token")
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return TimeoutError("it does not answer in time")
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL):
                return OSError("what answers there is not Ray")
    return None


def _token_opens(ask: Callable[..., object]) -> bool:
    """Whether a question is answered that comes with this process's token, or whether only Ray itself can tell."""
    import grpc

    try:
        from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

        if os.environ.get("RAY_AUTH_MODE", "token").lower() not in ("token", "disabled"):
            return True
        token = tuple(get_auth_headers_if_auth_enabled({}).items())
    except Exception:  # Ray has it elsewhere, or cannot read it and says why
        return True
    try:
        ask(b"", timeout=_ANSWER_SECONDS, metadata=token)
    except grpc.RpcError as answer:
        return bool(answer.code() is not grpc.StatusCode.UNAUTHENTICATED)
    return True


def _reason(problem: OSError) -> str:
    return problem.strerror or str(problem)


def _check_folder() -> None:
    variable = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), None)
    folder = os.environ[variable] if variable else "/tmp"  # noqa: S108 -- where Ray goes
    socket_path = os.fsencode(folder) + _SOCKET_NAME.format(pid=os.getpid()).encode()
    shorter = "Set RAY_TMPDIR to a short folder on this machine, such as RAY_TMPDIR=/tmp, and run the same again."
    if len(socket_path) > _SOCKET_PATH:
        most = _SOCKET_PATH - len(socket_path) + len(os.fsencode(folder))
        raise CraterRayError(
            f"Ray cannot put its sockets below {variable}={folder}: the path has {len(os.fsencode(folder))} bytes, and "
            f"may have {most}. {shorter}"
        )
    try:
        Path(folder, "ray").mkdir(parents=True, exist_ok=True)
        usable = os.access(Path(folder, "ray"), os.W_OK | os.X_OK)
        why = "it may not be written"
    except OSError as problem:
        usable, why = False, _reason(problem)
    if not usable:
        raise CraterRayError(f"Ray cannot keep its files in {folder}/ray: {why}. {shorter}")


def _check_home() -> None:
    """A private Ray keeps the token that opens it in the user's home."""
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    where = os.environ.get("HOME", "")
    try:
        folder = Path.home() / ".ray"
        if (folder / "auth_token").is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        usable, why = os.access(folder, os.W_OK | os.X_OK), "it may not be written"
    except (OSError, RuntimeError) as problem:
        usable, why = False, _reason(problem) if isinstance(problem, OSError) else str(problem)
    if not usable:
        raise CraterRayError(
            f"Ray cannot keep the token of its private cluster in the home folder {where!r}: {why}. Set HOME to a "
            "folder that can be written, as in HOME=/tmp/me, and run the same again."
        )
