"""What a failed task says: whose fault it was, in Ray's many words, and the reason in one line of ours."""

from __future__ import annotations

from enum import Enum

from crater_ray.errors import CraterRayError


class Fault(Enum):
    """Whose fault it was."""

    ERROR = "the task itself said that it cannot be done, now"
    CRASH = "the process that did it died; what it worked on may be the cause"
    LOSS = "a machine, or memory on it, went away; what was done there is not at fault"


def classify(problem: Exception) -> Fault:
    """Tell apart what came instead of a task's result.

    Args:
        problem: what `ray.get` raised.
    """
    from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError, WorkerCrashedError

    if isinstance(problem, RayTaskError):
        cause = getattr(problem, "cause", None)
        lost_argument = isinstance(cause, RayError) and not isinstance(cause, RayTaskError)
        return Fault.LOSS if lost_argument else Fault.ERROR
    if isinstance(problem, WorkerCrashedError | OutOfMemoryError | RayActorError):
        return Fault.CRASH
    return Fault.LOSS


def reason(problem: Exception) -> str:
    """One line for the person who asks why."""
    cause = getattr(problem, "cause", None) or problem
    if isinstance(cause, CraterRayError):
        return str(cause)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(cause).__name__
