"""One picture in many kinds of files: each scores as its twin of 8 bits does."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from crater_ray.images.decode import decode
from crater_ray.images.pixels import pack
from crater_ray.network import bundle as bundles
from crater_ray.scanning.scorer import Scorer
from crater_ray.simulate.frame import simulate_frame


def tiff(values: np.ndarray, **how: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, metadata=None, **how)
    return out.getvalue()


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def with_pixel(values: np.ndarray, value: float, row: int = 200, column: int = 300) -> np.ndarray:
    values = values.copy()
    values[row, column] = value
    return values


def files_of(picture: np.ndarray) -> dict[str, bytes]:
    """A picture of 8 bits, and other files that show the same."""
    twelve, real = picture.astype(np.uint16) * 16, picture.astype(np.float32)
    several = with_pixel(with_pixel(with_pixel(twelve, 65_535), 65_535, 10, 10), 30_000, 380, 500)
    return {
        "twin": png(picture),
        "12 bits": tiff(twelve),
        "min-is-white of 16 bits, big-endian": tiff(65_535 - twelve, photometric="miniswhite", byteorder=">"),
        "min-is-white with a sign": tiff(~picture.astype(np.int16), photometric="miniswhite", compression="lzw"),
        "min-is-white floats": tiff(-real, photometric="miniswhite", compression="deflate", predictor=3),
        "colour in planes of 16 bits": tiff(np.stack([twelve] * 3), photometric="rgb", planarconfig="separate"),
        "colour map of 8 bits": tiff(
            picture, photometric="palette", colormap=np.stack([np.arange(256, dtype="u2")] * 3)
        ),
        "very large integers": tiff(picture.astype(np.uint64) * 10**12 + 2**60, tile=(128, 128)),
        "integers with a sign": tiff(picture.astype(np.int32) * 1_000_000 - 10**8, bigtiff=True, byteorder=">"),
        "a hot pixel": tiff(with_pixel(twelve, 65_535)),
        "several hot pixels": tiff(several),
        "a hot pixel twice as bright as the rest": tiff(with_pixel(twelve, 2 * int(twelve.max()))),
        "a dead pixel": tiff(with_pixel(twelve + 20_000, 0)),
        "no data as the lowest float": tiff(with_pixel(real, np.finfo(np.float32).min)),
        "no data as -9999": tiff(with_pixel(real / 255, -9999)),
        "not a number": tiff(with_pixel(real / 255, np.nan)),
        "half-precision floats": tiff((real / 255).astype(np.float16)),
        "colour png of 16 bits": imagecodecs.png_encode(np.stack([twelve] * 3, 2)),
        "gray png of 16 bits with alpha": imagecodecs.png_encode(np.stack([twelve, np.full_like(twelve, 65_535)], 2)),
        "jpeg 2000 in tiff": tiff(twelve, compression="jpeg2000"),
        "jpeg of 12 bits": imagecodecs.jpeg_encode(twelve, bitspersample=12, level=100),
    }


@pytest.fixture(scope="module", params=["stardust", "finder"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    return Scorer(bundles.load(request.param), "keras", 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 8])
def test_deep_files_score_as_their_twins_of_8_bits(scorer: Scorer, seed: int) -> None:
    files = files_of(simulate_frame(np.random.default_rng(seed), (384, 512), (6.0, 14.0)).pixels)
    pictures = []
    for name, data in files.items():
        pixels = decode(data)
        assert isinstance(pixels, np.ndarray), (name, pixels)
        pictures.append((len(pictures), pixels))
    scores = dict(zip(files, scorer.score(pack(pictures)).score.tolist(), strict=True))
    assert 0.001 < scores["twin"] < 0.999, "a score at either end would not move, whatever the pixels"
    assert {name: score for name, score in scores.items() if abs(score - scores["twin"]) > 0.02} == {}
    # Scores of the finder are low, as craters are rare: theirs are compared by the odds.
    assert {
        name: score for name, score in scores.items() if abs(np.log(odds(score) / odds(scores["twin"]))) > 0.2
    } == {}


def odds(score: float) -> float:
    return score / (1 - score)
