"""The images that are measured on: simulated foils, kept between runs, each under as many keys as are needed."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.network.stardust import RECEPTIVE_FIELD, TILE
from testbed.local_s3 import ACCESS_KEY, PUBLIC, SECRET_KEY, LocalS3

CACHE = Path(tempfile.gettempdir()) / f"crater-ray-images-{os.getuid()}"
CRATER_SHARE = 0.02
QUALITY = 85
"""JPEG quality of images that are cut to another size; simulated ones keep their own, 70 to 92."""
UPLOADS = 32


@dataclass(frozen=True)
class ImageSet:
    """Distinct image files of one size.

    Attributes:
        files: the distinct images, JPEG.
        height, width: in pixels.
        seed: of the simulation.
        craters: distinct images that hold a crater.
    """

    files: tuple[Path, ...]
    height: int
    width: int
    seed: int
    craters: int

    def named(self, images: int) -> Iterator[tuple[str, Path]]:
        """So many (path in the site's layout, file), each distinct file under as many keys as it takes."""
        for number in range(images):
            copy, which = divmod(number, len(self.files))
            key = f"fb_{copy:05d}_{which:05d}"
            yield f"{key}/{key}-001.jpg", self.files[which]

    def describe(self, images: int) -> dict[str, Any]:
        """What was measured on, as JSON values."""
        sizes = [file.stat().st_size for file in self.files]
        return {
            "kind": "simulated foils, JPEG",
            "images": images,
            "distinct": min(images, len(self.files)),
            "height": self.height,
            "width": self.width,
            "mean_bytes": round(float(np.mean(sizes))),
            "seed": self.seed,
            "distinct_with_crater": self.craters,
        }


def make(
    distinct: int,
    size: tuple[int, int] = TILE,
    seed: int = 0,
    cache: Path | None = None,
    crater_share: float = CRATER_SHARE,
    alike: bool = False,
) -> ImageSet:
    """Simulate images, or take them from the cache.

    Args:
        distinct: how many different ones.
        size: height and width in pixels; other sizes than the simulator's are cut out of, or mirrored from, its images.
        seed: of the simulation.
        cache: folder to keep them in.
        crater_share: of the images that hold a crater.
        alike: compress those of the simulator's size anew too, so that sizes differ in nothing else.
    """
    cache = cache or CACHE
    craters = round(distinct * crater_share)
    folder = _simulated(distinct, craters, seed, cache)
    if alike or size != TILE:
        folder = _resized(folder, size, cache)
    files = tuple(sorted(folder.glob("*/*-001.jpg")))
    return ImageSet(files, *size, seed, craters)


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """`384x512,96x96` to heights and widths in pixels.

    Raises:
        UsageError: it reads otherwise, or a size is below what the network sees.
    """
    sizes = []
    for entry in text.split(","):
        height, _, width = entry.strip().partition("x")
        if not (height.isdigit() and width.isdigit()) or min(int(height), int(width)) < RECEPTIVE_FIELD:
            raise UsageError(f"--sizes must be HEIGHTxWIDTH,..., each at least {RECEPTIVE_FIELD}; received: {text!r}")
        sizes.append((int(height), int(width)))
    return sizes


def link(image_set: ImageSet, images: int, folder: Path) -> Path:
    """Lay out so many images in a folder, as hard links: many keys, little room. The folder must share a disk with
    the cache."""
    for name, file in image_set.named(images):
        target = folder / name
        target.parent.mkdir(parents=True)
        target.hardlink_to(file)
    return folder


def upload(image_set: ImageSet, images: int, server: LocalS3, prefix: str) -> str:
    """Put so many images under a prefix of the server's public bucket; returns the `s3://` address."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        PUBLIC,
        endpoint=server.endpoint_url,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True},
    )

    async def put_all() -> None:
        free = asyncio.Semaphore(UPLOADS)

        async def put(name: str, data: bytes) -> None:
            async with free:
                await obstore.put_async(store, f"{prefix}/{name}", data, use_multipart=False)

        contents = {file: file.read_bytes() for file in image_set.files}
        await asyncio.gather(*(put(name, contents[file]) for name, file in image_set.named(images)))

    asyncio.run(put_all())
    return f"s3://{PUBLIC}/{prefix}"


def _simulated(distinct: int, craters: int, seed: int, cache: Path) -> Path:
    from crater_ray.simulate import simulate_archive
    from crater_ray.simulate.archive import VERSION

    folder = cache / f"simulated-v{VERSION}-{distinct}-{craters}-{seed}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
            simulate_archive(Path(scratch, "images"), distinct, craters, seed)
            Path(scratch, "images").rename(folder)
    return folder


def _resized(source: Path, size: tuple[int, int], cache: Path) -> Path:
    folder = cache / f"{source.name}-{size[0]}x{size[1]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
            for number, file in enumerate(sorted(source.glob("*/*-001.jpg"))):
                target = Path(scratch, "images", file.parent.name, file.name)
                target.parent.mkdir(parents=True)
                target.write_bytes(_cut(file, size, number))
            Path(scratch, "images").rename(folder)
    return folder


def _cut(file: Path, size: tuple[int, int], number: int) -> bytes:
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("L"))
    missing = [max(0, wanted - there) for wanted, there in zip(size, pixels.shape, strict=True)]
    pixels = np.pad(pixels, [(0, pad) for pad in missing], mode="symmetric")
    rng = np.random.default_rng(number)
    row, column = (int(rng.integers(0, there - wanted + 1)) for there, wanted in zip(pixels.shape, size, strict=True))
    data = io.BytesIO()
    Image.fromarray(pixels[row : row + size[0], column : column + size[1]]).save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
