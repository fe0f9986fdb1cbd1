"""PNG and JPEG files that Pillow would cut to 8 bits or not read: 16-bit colours, 12-bit and lossless JPEG."""

from __future__ import annotations

import numpy as np

from crater_ray.images.bounds import MAX_AT_ONCE, MAX_DECODED, MAX_SCANS, check_size
from crater_ray.images.colour import BLACK_IS_ZERO, RGB, Samples, to_gray
from crater_ray.images.jpeg import JPEG_LS, LOSSLESS, jpeg_frame
from crater_ray.images.status import UNREADABLE, UNSUPPORTED, NotRead, Refusal, damaged

GRAY_ALPHA, COLOURS, COLOURS_ALPHA = 4, 2, 6


def is_deep_png(data: bytes) -> bool:
    """Whether a PNG has 16 bits in each of several samples; Pillow keeps 8 of them."""
    return data[24:25] == b"\x10" and data[25:26] in (bytes([kind]) for kind in (GRAY_ALPHA, COLOURS, COLOURS_ALPHA))


def deep_png(data: bytes, height: int, width: int) -> np.ndarray:
    """Such a PNG as (height, width) uint8.

    Raises:
        NotRead: it takes too much memory.
    """
    import imagecodecs

    samples = {GRAY_ALPHA: 2, COLOURS: 3, COLOURS_ALPHA: 4}[data[25]]
    if height * width * samples * 2 > MAX_DECODED:
        reason = f"its pixels take {height * width * samples * 2:,} bytes: more than {MAX_DECODED:,} are refused"
        raise NotRead(Refusal(UNSUPPORTED, reason, height, width))
    return _gray(imagecodecs.png_decode(data).reshape(height, width, -1), 16)


def deep_jpeg(data: bytes) -> np.ndarray | None:
    """A JPEG of more than 8 bits, or a lossless one, as (height, width) uint8; None if it is neither.

    Raises:
        NotRead: it is cut short, too large, or has colours that are not read.
    """
    frame = jpeg_frame(data)
    if frame is not None and frame.marker == JPEG_LS:
        raise NotRead(Refusal(UNSUPPORTED, "the file is JPEG-LS: save it as PNG or TIFF", frame.height, frame.width))
    if frame is None or (frame.bits == 8 and frame.marker != LOSSLESS):
        return None
    check_size(frame.height, frame.width)
    kind = f"a {'lossless ' if frame.marker == LOSSLESS else ''}JPEG of {frame.bits} bits"
    if frame.samples not in (1, 3):
        raise NotRead(Refusal(UNSUPPORTED, f"{kind} and {frame.samples} samples a pixel is not read"))
    at_once = frame.height * frame.width * frame.samples * 4  # progressive ones are held as coefficients besides
    if at_once > MAX_AT_ONCE:
        raise NotRead(
            Refusal(UNSUPPORTED, f"{kind} that takes {at_once:,} bytes to unpack: {MAX_AT_ONCE:,} are the most")
        )
    if data.count(b"\xff\xda") > MAX_SCANS:
        raise NotRead(Refusal(UNSUPPORTED, f"{kind} and more than {MAX_SCANS} scans is refused, it takes too long"))
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise damaged(f"{kind} without its end: it is cut short")
    import imagecodecs

    try:
        values = imagecodecs.jpeg_decode(data, bitspersample=frame.bits)
    except Exception as problem:  # libraries name each kind of fault by a class of their own
        status = UNREADABLE if frame.bits in (8, 12) else UNSUPPORTED
        raise NotRead(Refusal(status, f"{kind} that cannot be decoded: {problem}", frame.height, frame.width)) from None
    if values.shape[:2] != (frame.height, frame.width):
        raise damaged(f"{kind} whose pixels are not as many as it says")
    return _gray(values.reshape(frame.height, frame.width, -1), frame.bits)


def _gray(values: np.ndarray, bits: int) -> np.ndarray:
    gray = to_gray(Samples(values, bits, RGB if values.shape[2] >= 3 else BLACK_IS_ZERO))
    assert gray is not None, "whole numbers are finite"
    return gray
