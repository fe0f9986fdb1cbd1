"""Bundles made by an enemy: whatever is no network is refused, and no code of it runs."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.network import bundle
from crater_ray.scanning.loader import bounded_memory
from tests.conftest import Cli


class Boom:
    """Unpickling it writes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return os.mkdir, (self.path,)


def bundle_with(folder: Path, name: str) -> Path:
    """A copy of the shipped bundle with something else in the place of its weights."""
    folder.mkdir()
    card = json.loads((bundle.STARDUST / "card.json").read_text())
    weights = folder / "weights.npz"
    if name == "pickled objects":
        np.savez(weights, allow_pickle=True, kernel=np.array([Boom(str(folder / "owned"))], object))
    elif name == "a pickle":
        weights.write_bytes(pickle.dumps(Boom(str(folder / "owned"))))
    elif name == "a Keras archive":
        config = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}}
        with zipfile.ZipFile(weights, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    elif name == "weights that unpack":
        header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }"
        with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("kernel.npy", header.ljust(127) + b"\n" + bytes(200_000_000))
    else:
        weights.write_bytes((bundle.STARDUST / "weights.npz").read_bytes())
        card |= {"card of numbers": {"typical_threshold": "high"}, "card of lists": {"trained": [1], "figures": 3}}[
            name
        ]
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    "name",
    ["pickled objects", "a pickle", "a Keras archive", "weights that unpack", "card of numbers", "card of lists"],
)
def test_bundle_with_anything_but_weights_is_refused_and_runs_no_code(tmp_path: Path, name: str) -> None:
    folder = bundle_with(tmp_path / "bundle", name)
    with bounded_memory(400_000_000), pytest.raises(UsageError, match="bundle"):
        bundle.load(folder)
    assert not (folder / "owned").exists()


def test_keras_file_is_no_bundle(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK")
    answer = cli("scan", tmp_path, "--out", tmp_path / "run", "--bundle", tmp_path / "model.keras")
    assert answer.returncode == 2
    assert "model.keras" in answer.stderr
    assert "Traceback" not in answer.stderr
