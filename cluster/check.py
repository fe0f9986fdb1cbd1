"""Check every file of cluster/: `python -m cluster.check` (which `make cluster-check` runs)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from cluster import rules, schemas

Checker = Callable[[Path], Iterable[str]]

RAY_UP: tuple[Checker, ...] = (schemas.ray_up, rules.ray_up, rules.settings, rules.nothing_secret)
CHECKS: dict[str, tuple[str, tuple[Checker, ...]]] = {
    "aws.yaml": ("Ray's loader and schema, EC2's RunInstances, rules", RAY_UP),
    "onpremise.yaml": ("Ray's loader and schema, rules", RAY_UP),
    "kuberay/rayjob.yaml": (
        f"Kubernetes {schemas.KUBERNETES}'s schemas, rayjob.schema.json, rules",
        (schemas.kubernetes, rules.kubernetes, rules.settings, rules.nothing_secret),
    ),
    "Dockerfile": ("hadolint, rules", (schemas.dockerfile, rules.dockerfile, rules.nothing_secret)),
    "slurm.sh": ("shellcheck, rules", (schemas.shell, rules.settings, rules.nothing_secret)),
    "cpu.lock": ("hashes, requirements.lock", (rules.lock, rules.nothing_secret)),
    "gpu.lock": ("hashes, requirements.lock", (rules.lock, rules.nothing_secret)),
}
"""By file: how it is checked, in words and in functions. The first function decides whether the rest can be asked."""


def problems(path: Path, checkers: tuple[Checker, ...]) -> list[str]:
    """What is wrong with a file; nothing for a sound one.

    Args:
        path: the file.
        checkers: asked in turn; those after one that found something are not asked.
    """
    if not path.is_file():
        return ["the file is missing."]
    for checker in checkers:
        found = list(checker(path))
        if found:
            return found
    return []


def main(folder: Path) -> int:
    """Check all files under a folder and say so, file by file.

    Args:
        folder: the folder cluster/, with the project's requirements.lock beside it.

    Returns:
        0 when all are sound, else 1.
    """
    failed = 0
    for name, (how, checkers) in CHECKS.items():
        found = problems(folder / name, checkers)
        failed += bool(found)
        print(f"{folder.name}/{name}: {'FAILED' if found else 'ok'} ({how})")
        for problem in found:
            print(f"  {problem}")
    known = {folder / name for name in CHECKS}
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".sh", ".lock") and path not in known:
            failed += 1
            print(f"{folder.name}/{path.relative_to(folder)}: FAILED (no check is set down for it in cluster/check.py)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent))
