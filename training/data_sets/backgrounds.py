"""Blanks to paste into: photographs of metal from a folder or object storage, cut, zoomed and aged at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from crater_ray.errors import UsageError
from crater_ray.images.decode import pixels_of
from crater_ray.images.list_table import IMAGE_SUFFIXES
from crater_ray.images.status import Refusal
from crater_ray.storage.access import Access
from crater_ray.storage.base import Store
from crater_ray.storage.registry import store_at
from training.data_sets.seeds import split


@dataclass(frozen=True)
class Photograph:
    """A real image without craters.

    Attributes:
        name: file name without its folder; what the table calls the background.
        pixels: uint8 (h, w).
    """

    name: str
    pixels: np.ndarray


def read(source: str, *, limit: int = 2000) -> list[Photograph]:
    """Read the images of a folder or of `s3://bucket/prefix` as grey photographs, in order of their names.

    Args:
        source: where they are. Object storage is read with the usual credentials, or without where there are none.
        limit: how many at most.

    Raises:
        UsageError: there are none. CraterRayError: the storage did not answer.
    """
    store = store_at(source, Access(anonymous=True)).with_credentials()
    if store.local:
        photographs = _read_folder(Path(store.absolute(source)), limit)
    else:
        photographs = _read_objects(store, store.absolute(source), limit)
    if not photographs:
        raise UsageError(f"No images ({', '.join(IMAGE_SUFFIXES)}) in {source!r} to use as backgrounds.")
    return photographs


def pick(photographs: list[Photograph], name: str, seed: int) -> list[Photograph]:
    """The photographs of one split."""
    return [photographs[number] for number in split(len(photographs), name, seed)]


def cut(rng: np.random.Generator, photograph: Photograph, shape: tuple[int, int], *, plain: bool = False) -> np.ndarray:
    """Cut an image (h, w) float32 out of a photograph at a random place.

    Args:
        rng: where randomness comes from.
        photograph: the source.
        shape: height and width in pixels.
        plain: leave it as it was taken; else it is zoomed, flipped, and given other contrast, gradient and noise.
    """
    pixels = photograph.pixels.astype(np.float32)
    if plain:
        return _window(rng, _at_least(pixels, shape), shape)
    zoom = float(np.exp(rng.uniform(np.log(0.65), np.log(1.9))))
    needed = tuple(int(np.ceil(length / zoom)) + 2 for length in shape)
    if rng.random() < 0.5:
        pixels = pixels.T
    piece = _window(rng, _at_least(pixels, needed), needed)
    piece = piece[:: int(rng.choice((-1, 1))), :: int(rng.choice((-1, 1)))]
    if zoom < 1.0:
        piece = ndimage.gaussian_filter(piece, 0.4 * (1.0 / zoom - 1.0))
    scaled = ndimage.zoom(piece, zoom, order=1, grid_mode=True, mode="nearest")[: shape[0], : shape[1]]
    scaled = _at_least(np.asarray(scaled, np.float32), shape)[: shape[0], : shape[1]]
    return age(rng, scaled)


def age(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Take the image (h, w) again under other conditions: operator's contrast and brightness, gradient, beam, noise."""
    mean = float(pixels.mean())
    contrast = float(np.exp(rng.uniform(np.log(0.45), np.log(1.5))))
    aged = (pixels - mean) * contrast + float(rng.uniform(60.0, 185.0))
    rows, columns = np.indices(pixels.shape, dtype=np.float32)
    slope = rng.normal(0.0, 8.0, 2)
    aged = aged + slope[0] * (rows / pixels.shape[0] - 0.5) + slope[1] * (columns / pixels.shape[1] - 0.5)
    if rng.random() < 0.3:
        aged = ndimage.gaussian_filter(aged, float(rng.uniform(0.3, 1.1)))
    if rng.random() < 0.75:
        sigma = float(np.exp(rng.uniform(np.log(1.0), np.log(16.0))))
        # Electron counting: the noise grows with the square root of the brightness.
        aged = aged + rng.normal(0.0, 1.0, pixels.shape) * sigma * np.sqrt(np.clip(aged, 8.0, 255.0) / 120.0)
    return np.asarray(np.clip(aged, 0.0, 255.0), np.float32)


def _window(rng: np.random.Generator, pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    row = int(rng.integers(0, pixels.shape[0] - shape[0] + 1))
    column = int(rng.integers(0, pixels.shape[1] - shape[1] + 1))
    return pixels[row : row + shape[0], column : column + shape[1]]


def _at_least(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Continue an image that is too small by its mirror image."""
    missing = [max(0, wanted - have) for wanted, have in zip(shape, pixels.shape, strict=True)]
    return np.pad(pixels, [(0, missing[0]), (0, missing[1])], mode="symmetric") if any(missing) else pixels


def _read_folder(folder: Path, limit: int) -> list[Photograph]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)[:limit]
    return [Photograph(path.name, _grey(path.read_bytes(), str(path))) for path in paths]


def _read_objects(store: Store, folder: str, limit: int) -> list[Photograph]:
    uris: list[str] = []
    try:
        for page in store.objects(folder):
            uris += [found.uri for found in page if found.name.lower().endswith(IMAGE_SUFFIXES)]
            if len(uris) >= limit:
                break
        return [Photograph(uri, _grey(store.get(uri), uri)) for uri in sorted(uris[:limit])]
    except FileNotFoundError:
        return []
    except Exception as problem:
        raise store.explain(problem, folder) from None


def _grey(data: bytes, name: str) -> np.ndarray:
    pixels = pixels_of(data)
    if isinstance(pixels, Refusal):
        raise UsageError(f"The background {name!r} cannot be read as an image: {pixels.reason}. Remove it.")
    return pixels
