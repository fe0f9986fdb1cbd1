"""JPEGs: what the frame header says (ITU-T T.81, B.2.2), and a quick way to decode those that are as they should be."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from crater_ray.images.bounds import MAX_PIXELS, MAX_SCANS, SMALLEST_SIDE
from crater_ray.images.memory import Memory, fresh

BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
FILL = 128
"""What libjpeg paints where a baseline JPEG's data ended early."""
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Tables and reserved markers among those of frames."""


class Frame(NamedTuple):
    """Bits of a sample, height and width in px, samples of a pixel, and the marker, which tells the kind of JPEG."""

    bits: int
    height: int
    width: int
    samples: int
    marker: int


def jpeg_frame(data: bytes) -> Frame | None:
    """The frame header of a JPEG; None where there is none before its pixels."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # they have no length
            at += 2
        elif marker in (0xD9, 0xDA):
            return None
        elif marker == JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME):
            bits, height, width, samples = struct.unpack(">BHHB", data[at + 4 : at + 10])
            return Frame(bits, height, width, samples, marker)
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def plain_jpeg(data: bytes, memory: Memory = fresh) -> np.ndarray | None:
    """Gray pixels, (height, width) uint8, of a JPEG of 8 bits that is whole; None for anything else.

    imagecodecs gives the same pixels as Pillow sooner, but takes a file that was cut short without a word. So
    whatever is not just as it should be is left to Pillow, which tells what is wrong with it. Memory that was in use
    before saves a fifth of the time.

    Args:
        data: the file.
        memory: for the pixels.
    """
    if not (data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")):
        return None
    frame = jpeg_frame(data)
    if frame is None or frame.bits != 8 or frame.samples not in (1, 3):
        return None
    if frame.marker not in (BASELINE, EXTENDED, PROGRESSIVE):
        return None
    # Of one plane and not progressive, the decoder reads the first scan alone; to count takes a while.
    if (frame.marker == PROGRESSIVE or frame.samples > 1) and data.count(b"\xff\xda") > MAX_SCANS:
        return None
    if min(frame.height, frame.width) < SMALLEST_SIDE or frame.height * frame.width > MAX_PIXELS:
        return None
    import imagecodecs

    gray = memory(frame.height * frame.width).reshape(frame.height, frame.width)
    try:
        imagecodecs.jpeg8_decode(data, outcolorspace="GRAYSCALE", out=gray)
    except (imagecodecs.Jpeg8Error, ValueError):  # damaged, or of another size than its header says
        return None
    return None if corner_unpainted(gray) else gray


def corner_unpainted(gray: np.ndarray) -> bool:
    """Whether the last pixels are as libjpeg leaves them where there was no data."""
    return bool((gray[-8:, -8:] == FILL).all())
