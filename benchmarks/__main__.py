"""`python -m benchmarks COMMAND`; see `benchmarks.app`."""

from __future__ import annotations

import sys

from crater_ray.errors import CraterRayError, not_installed


def main() -> None:
    """Run a command; problems end in a line."""
    try:
        from benchmarks.app import app

        app()
    except ModuleNotFoundError as missing:
        print(f"benchmarks: {not_installed(missing)}", file=sys.stderr)
        sys.exit(1)
    except CraterRayError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
