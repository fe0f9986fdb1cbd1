"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from crater_ray.errors import UsageError
from crater_ray.storage.errors import explain


@contextmanager
def new_folder(out: Path, kind: str | None = None, marker: str = "", made: Collection[str] = ()) -> Iterator[Path]:
    """A folder to write into that becomes `out` if all goes well.

    Args:
        out: must not exist, or be empty, or be an older one of its kind, which is replaced.
        kind: what that is called, such as `a gallery`; nothing is replaced when None.
        marker: the name of a file that each of this kind has.
        made: names of all that one of this kind can have. Anything else in an older one is someone's, and stays.

    Raises:
        UsageError: it is something else.
    """
    out = out.absolute()
    free = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not free and not (kind and out.is_dir() and (out / marker).is_file()):
        wrong = f"holds something else than {kind}. Give --out a" if kind else "exists and is not empty. Give a"
        raise UsageError(f"{str(out)!r} {wrong} new folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name[:40]}-", dir=out.parent))
        try:
            partial.chmod(0o755)
            yield partial
            if kind and out.exists():
                _replace(out, partial, made)
            else:
                if out.exists():
                    out.rmdir()
                partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as problem:
        raise explain(problem, str(out)) from None


def _replace(out: Path, new: Path, made: Collection[str]) -> None:
    """Put `new` where `out` is; what lies there and is not of its kind goes along, and is never deleted."""
    older = new.with_name(f"{new.name}-older")
    out.rename(older)
    new.rename(out)
    for kept in [path for path in older.iterdir() if path.name not in made]:
        kept.rename(out / kept.name)
    shutil.rmtree(older)
