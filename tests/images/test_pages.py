"""Files of several pages: all of full resolution are read, and what is not read is counted."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile

from crater_ray.images.bounds import MAX_PIXELS
from crater_ray.images.decode import Pages, decode, decode_pages
from crater_ray.images.status import UNREADABLE, UNSUPPORTED, Refusal

RNG = np.random.default_rng(4)
FIRST, SECOND, THIRD = RNG.integers(0, 256, (3, 120, 160), np.uint8)
THUMBNAIL = FIRST[::4, ::4].copy()
REDUCED = {"subfiletype": 1}


def file_of(*pages: tuple[np.ndarray, dict[str, Any]], **how: Any) -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out, **how) as writer:
        for pixels, options in pages:
            writer.write(pixels, metadata=None, **options)
    return out.getvalue()


def plain(*pages: np.ndarray) -> bytes:
    return file_of(*[(pixels, {}) for pixels in pages])


FILES: dict[str, tuple[bytes, list[tuple[int, np.ndarray]], int]] = {
    "one page": (plain(FIRST), [(1, FIRST)], 0),
    "two pictures": (plain(FIRST, SECOND), [(1, FIRST), (2, SECOND)], 0),
    "two pictures in a BigTIFF": (
        file_of((FIRST, {}), (SECOND, {}), bigtiff=True, byteorder=">"),
        [(1, FIRST), (2, SECOND)],
        0,
    ),
    "a thumbnail first, named as such": (file_of((THUMBNAIL, REDUCED), (FIRST, {})), [(2, FIRST)], 0),
    "a thumbnail first, not named": (plain(THUMBNAIL, FIRST, SECOND), [(2, FIRST), (3, SECOND)], 1),
    "a thumbnail last": (plain(FIRST, THUMBNAIL), [(1, FIRST)], 1),
    "a pyramid": (file_of((FIRST, {}), (FIRST[::2, ::2], REDUCED), (THUMBNAIL, REDUCED)), [(1, FIRST)], 0),
    "a pyramid below its page": (file_of((FIRST, {"subifds": 1}), (FIRST[::2, ::2], REDUCED)), [(1, FIRST)], 0),
    "a picture below its thumbnail": (file_of((THUMBNAIL, REDUCED | {"subifds": 1}), (FIRST, {})), [(1, FIRST)], 0),
    "pictures of other sizes": (plain(SECOND[:100], FIRST, THIRD[:, :130]), [(2, FIRST)], 2),
    "pages of other depths": (
        file_of((FIRST, {}), (SECOND.astype(np.uint16), {"compression": "lzw"})),
        [(1, FIRST), (2, SECOND)],
        0,
    ),
    "a mask": (file_of((FIRST, {}), (FIRST > 100, {"photometric": "mask", "subfiletype": 4})), [(1, FIRST)], 0),
    "only reduced pages": (file_of((FIRST, REDUCED), (THUMBNAIL, REDUCED)), [(1, FIRST)], 0),
}


@pytest.mark.parametrize("name", FILES)
def test_pages_of_full_resolution_are_read(name: str) -> None:
    data, expected, left_out = FILES[name]
    found = decode_pages(data)
    assert isinstance(found, Pages), found
    assert [number for number, _ in found.pages] == [number for number, _ in expected]
    for (number, pixels), (_, picture) in zip(found.pages, expected, strict=True):
        assert np.array_equal(pixels, picture)
        again = decode(data, number)
        assert isinstance(again, np.ndarray)
        assert np.array_equal(again, picture)
    assert found.left_out == left_out
    first = decode(data)
    assert isinstance(first, np.ndarray)
    assert np.array_equal(first, expected[0][1])


def test_more_pages_than_fit_are_counted() -> None:
    side = 1_600
    most = MAX_PIXELS // side**2
    found = decode_pages(file_of(*[(np.zeros((side, side), np.uint8), {"compression": "deflate"})] * (most + 2)))
    assert isinstance(found, Pages)
    assert len(found.pages) == most
    assert found.left_out == 2


def test_a_page_that_cannot_be_read_is_named() -> None:
    whole = plain(FIRST, SECOND)
    cut = decode_pages(whole[: len(whole) - 500])
    assert isinstance(cut, Refusal)
    assert cut.status == UNREADABLE
    assert cut.reason.startswith("page 2: ")
    odd = decode_pages(file_of((FIRST, {}), (SECOND.astype(np.complex64), {})))
    assert isinstance(odd, Refusal)
    assert odd.status == UNSUPPORTED
    assert odd.reason.startswith("page 2: ")
    assert (odd.height, odd.width) == FIRST.shape


def test_a_chain_that_leads_nowhere_is_a_picture_left_out() -> None:
    data = bytearray(plain(FIRST))
    entries = int.from_bytes(data[8:10], "little")
    end = 10 + 12 * entries
    data[end : end + 4] = (10**9).to_bytes(4, "little")
    found = decode_pages(bytes(data))
    assert isinstance(found, Pages)
    assert np.array_equal(found.pages[0][1], FIRST)
    assert found.left_out == 1
