"""How large an image may be: what goes beyond is refused before a pixel is decoded."""

from __future__ import annotations

from crater_ray.images.status import UNSUPPORTED, NotRead, Refusal

SMALLEST_SIDE = 92
"""Pixels: what one position of the network's last feature map sees, `crater_ray.network.stardust.RECEPTIVE_FIELD`."""
MAX_PIXELS = 64_000_000
"""Larger images are refused: 64 MB as gray, at most about 800 MB while decoding."""
MAX_DECODED = 400_000_000
"""Bytes of an image's pixels as they are stored, in all their samples and bits; of 8 bits, MAX_PIXELS is less."""
MAX_AT_ONCE = 650_000_000
"""Bytes of the pixels together with what the decoder needs for the largest strip or tile."""
MAX_SCANS = 100
"""A progressive JPEG has some ten scans; one with thousands would keep a processor busy for hours."""
MAX_TEXT = 1_000_000
"""Bytes of what a microscope writes into an image or beside it; what is longer is no microscope's."""
BAND_PIXELS = 4_000_000
"""Large images become gray so many pixels at a time."""


def check_size(height: int, width: int) -> None:
    """Refuse what is too large or too small.

    Raises:
        NotRead: with the reason for the image's row.
    """
    if width * height > MAX_PIXELS:
        reason = f"{width}x{height} pixels: more than {MAX_PIXELS:,} are refused as a possible decompression bomb"
        raise NotRead(Refusal(UNSUPPORTED, reason, height, width))
    if min(width, height) < SMALLEST_SIDE:
        reason = f"{width}x{height} pixels: the network needs at least {SMALLEST_SIDE} in each direction"
        raise NotRead(Refusal(UNSUPPORTED, reason, height, width))
