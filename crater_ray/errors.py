"""The one exception that is meant to be read by the person at the keyboard."""

from __future__ import annotations


class CraterRayError(Exception):
    """A problem that its message fully explains: what was wrong, what was received, what to do.

    The command line prints the message without a traceback and exits with `exit_code`:
    1 when something failed, 2 when the command was used wrongly.
    """

    exit_code = 1


class UsageError(CraterRayError):
    """The command, its arguments or its input files were not what they must be."""

    exit_code = 2


def not_installed(missing: ModuleNotFoundError) -> CraterRayError:
    """Say what to install for a package that only development and training need.

    Args:
        missing: raised by an import; raised again if what is missing is a part of the project itself.
    """
    package = (missing.name or "").partition(".")[0]
    if not package or package in ("crater_ray", "training", "benchmarks", "testbed", "docs", "tests"):
        raise missing
    return CraterRayError(
        f"This needs the package {package!r}, which the ordinary installation leaves out. Run `make install-dev`."
    )
