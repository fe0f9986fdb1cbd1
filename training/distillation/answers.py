"""The teacher's answers to images, kept on disk: the screen learns from them, not from labels."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from crater_ray.errors import UsageError
from crater_ray.images.decode import pixels_of
from crater_ray.images.list_table import IMAGE_SUFFIXES
from crater_ray.images.status import Refusal
from crater_ray.network.bundle import Bundle
from crater_ray.network.stardust import CONVOLUTIONS
from training.data_sets import dataset
from training.data_sets.dataset import COLUMNS, DataSet
from training.network.scoring import logits, to_logit

if TYPE_CHECKING:
    import keras

READ = 256
"""Images read at once."""
MARGIN = 0.2
"""In the logit: answers nearer than this to the threshold are computed again in float32. Five times bfloat16's error
there (0.0066 in the score of 1,000 images: `python -m benchmarks agreement`)."""


@dataclass(frozen=True)
class Answered:
    """Images with the full network's answers.

    Attributes:
        data: the images; their `label` is negative where it is not known.
        logit: (n,) float64, its answer to each.
    """

    data: DataSet
    logit: np.ndarray

    def __len__(self) -> int:
        return len(self.data)


def open_images(path: Path, shape: tuple[int, int], limit: int | None = None) -> DataSet:
    """A data set folder, or any folder of images: those of the right size are taken, labels.csv is heeded.

    Args:
        path: of the folder.
        shape: height and width in pixels.
        limit: take only so many images.

    Raises:
        UsageError: there is nothing of use in it.
    """
    if (path / "table.parquet").exists():
        data = dataset.read(path)
        if data.shape != shape:
            raise UsageError(
                f"The images of {str(path)!r} must be {_size(shape)} pixels; received: {_size(data.shape)}"
            )
        return data.first(limit) if limit else data
    labels: dict[str, int] = {}
    if (path / "labels.csv").exists():
        with (path / "labels.csv").open(encoding="utf-8", newline="") as table:
            labels = {row["key"]: int(row["label"]) for row in csv.DictReader(table)}
    pixels: list[np.ndarray] = []
    known: list[int] = []
    digest = hashlib.sha256()
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in IMAGE_SUFFIXES]
    with ThreadPoolExecutor() as threads:
        for first in range(0, len(files), READ):
            some = files[first : first + READ]
            for file, (data_bytes, image) in zip(some, threads.map(_read, some), strict=True):
                if isinstance(image, np.ndarray) and image.shape == shape and (not limit or len(pixels) < limit):
                    digest.update(data_bytes)
                    pixels.append(image)
                    known.append(labels.get(file.parent.name, -1))
            if limit and len(pixels) == limit:
                break
    if not pixels:
        raise UsageError(f"There is neither a data set nor an image of {_size(shape)} pixels in {str(path)!r}.")
    columns = {name: pa.nulls(len(pixels), kind) for name, kind in COLUMNS.items()}
    columns["label"] = pa.array(known, pa.int8())
    card = {"digest": digest.hexdigest()[:12], "images": len(pixels)}
    return DataSet((np.stack(pixels),), pa.table(columns), card)


def _read(file: Path) -> tuple[bytes, np.ndarray | Refusal]:
    data = file.read_bytes()
    return data, pixels_of(data)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"


def feature_map(bundle: Bundle, dtype: str) -> keras.Model:
    """The network up to its last feature map, as a Keras model from images to (n, rows, columns, 32) float32.

    Args:
        bundle: the network.
        dtype: Keras policy of its convolutions.
    """
    import keras

    model = bundle.model(dtype=dtype, compact=True)
    x = model.get_layer(f"conv{len(CONVOLUTIONS)}").output
    return keras.Model(model.input, keras.layers.Activation("linear", dtype="float32")(x))


def ask_teacher(
    bundle: Bundle,
    data: DataSet,
    folder: Path,
    dtype: str,
    progress: Callable[[int, int], None] | None = None,
) -> Answered:
    """Have the full network answer for images, or take what it answered before from `folder`.

    Args:
        bundle: the network.
        data: whole images.
        folder: where answers are kept, by network, images and numbers.
        dtype: Keras policy of the convolutions.
        progress: called with images done and images in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"answers-{bundle.id}-{data.digest}-{len(data)}-{dtype}.npy"
    if not path.exists():
        answer = logits(bundle.weights, bundle.preprocessing, data, dtype=dtype, progress=progress)
        with path.with_suffix(".partial").open("wb") as stream:
            np.save(stream, answer)
        path.with_suffix(".partial").rename(path)
    return Answered(data, np.load(path))


def exact(bundle: Bundle, answered: Answered, progress: Callable[[int, int], None] | None = None) -> Answered:
    """The same with float32 answers where rounding could decide whether an image is a candidate.

    Args:
        bundle: the network that answered.
        answered: its answers, in numbers of any kind.
        progress: called with images done and images in all.
    """
    near = np.flatnonzero(np.abs(answered.logit - to_logit(bundle.typical_threshold)) < MARGIN)
    if not len(near):
        return answered
    some = DataSet((answered.data.images(near),), answered.data.table.take(near), answered.data.card)
    answer = answered.logit.copy()
    answer[near] = logits(bundle.weights, bundle.preprocessing, some, progress=progress)
    return replace(answered, logit=answer)
