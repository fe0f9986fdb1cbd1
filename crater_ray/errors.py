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
