"""Quantities that instruments write: numbers with or without a unit, such as `2.791 nm`, `15000 Volt`, `40.00 K X`."""

from __future__ import annotations

import math
import re

NM = {"m": 1e9, "cm": 1e7, "mm": 1e6, "um": 1e3, "micron": 1e3, "microns": 1e3, "nm": 1.0, "a": 0.1, "pm": 1e-3}
"""Nanometres in a unit of length, by its name in lower case; the micro sign is written as u, the angstrom as a."""
KILOVOLTS = {"v": 1e-3, "volt": 1e-3, "volts": 1e-3, "kv": 1.0, "mv": 1e3}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d,;]*)")


def _split(text: str | None) -> tuple[float, str] | None:
    """A number, and the word behind it in lower case."""
    match = _NUMBER.match(text or "")
    if not match or not math.isfinite(value := float(match[1])):
        return None
    unit = match[2].lower().replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00e5", "a")
    return value, unit


def number(text: str | None) -> float | None:
    """A number above 0; None where there is none."""
    found = _split(text)
    return found[0] if found and found[0] > 0 else None


def magnification(text: str | None) -> float | None:
    """A magnification such as `40.00 K X`."""
    found = _split(text)
    return found[0] * (1e3 if found[1].startswith("k") else 1.0) if found and found[0] > 0 else None


def length_nm(text: str | None, unit: str | None) -> float | None:
    """A length in nm; `unit` is meant where the text has none. None where there is none, or in another unit."""
    found = _split(text)
    factor = NM.get(found[1] or unit or "") if found else None
    return found[0] * factor if found and factor and found[0] > 0 else None


def kilovolts(text: str | None, unit: str) -> float | None:
    """A voltage in kV, without its sign; `unit` is meant where the text has none."""
    found = _split(text)
    factor = KILOVOLTS.get(found[1] or unit) if found else None
    return abs(found[0]) * factor if found and factor else None
