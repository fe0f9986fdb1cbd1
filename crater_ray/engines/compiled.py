"""Compiled OpenVINO graphs, kept between runs in the user's cache folder."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crater_ray.engines import kept, processor

KIND = "graphs"
"""What they are kept as."""


def compiled(build: Callable[[], Any], of: Mapping[str, Any], settings: Mapping[str, Any]) -> Any:
    """A graph compiled for this machine's processor: one that was kept, or a new one, which is kept then.

    Args:
        build: gives the `openvino.Model`.
        of: all that it depends on, but for the code that builds it; JSON values.
        settings: for compiling; JSON values.

    Returns:
        The `openvino.CompiledModel`.
    """
    import openvino as ov

    key = {
        "of": dict(of),
        "settings": dict(settings),
        "code": _code(),
        "openvino": ov.get_version(),
        "processor": processor.fingerprint(),
    }
    core = ov.Core()
    data = kept.read(KIND, key)
    if data is not None:
        try:
            return core.import_model(io.BytesIO(data), "CPU", dict(settings))
        except RuntimeError:  # of another build of OpenVINO after all: it says so itself
            pass
    made = core.compile_model(build(), "CPU", dict(settings))
    kept.write(KIND, key, made.export_model().getvalue())
    return made


@cache
def _code() -> str:
    """The digest of all code that may have a part in a graph."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted([*here.glob("*.py"), *(here.parent / "network").glob("*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
