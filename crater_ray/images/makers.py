"""What each maker's texts say: fields, units, and where the picture ends.

Known from files of these instruments and from what other programs read in them; docs/inputs.md lists the fields.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from crater_ray.images import tags
from crater_ray.images.quantities import kilovolts, length_nm, magnification, number


@dataclass(frozen=True)
class Instrument:
    """What the microscope says of an image.

    Attributes:
        name: of the instrument.
        pixel_nm: width of a pixel in nm.
        voltage_kv: that accelerates the electrons (or ions), in kV.
        magnification: as the instrument counts it.
        size: (height, width) of the picture in pixels when it was taken.
        bar_rows: rows of the information bar, where the maker says so.
    """

    name: str | None = None
    pixel_nm: float | None = None
    voltage_kv: float | None = None
    magnification: float | None = None
    size: tuple[int, int] | None = None
    bar_rows: int | None = None

    def __bool__(self) -> bool:
        return self != Instrument()


def _fei(text: str) -> Instrument:
    """FEI and Thermo Fisher: sections of `key=value`, in SI units."""
    sections = _sections(text)
    beam = sections.get("Beam", {}).get("Beam", "EBeam")
    scan = sections.get("Scan") or sections.get(sections.get("Beam", {}).get("Scan", "EScan"), {})
    image, system = sections.get("Image", {}), sections.get("System", {})
    field_width = number(scan.get("HorFieldsize"))
    shown = number(image.get("MagCanvasRealWidth")) or number(system.get("DisplayWidth"))
    return Instrument(
        name=system.get("SystemType") or system.get("Type"),
        pixel_nm=length_nm(scan.get("PixelWidth"), "m"),
        voltage_kv=kilovolts(sections.get(beam, {}).get("HV") or sections.get("Beam", {}).get("HV"), "v"),
        magnification=shown / field_width if shown and field_width else None,
        size=_size(image.get("ResolutionY"), image.get("ResolutionX")),
        bar_rows=_rows(sections.get("PrivateFei", {}).get("DatabarHeight")),
    )


def _zeiss(text: str) -> Instrument:
    """Zeiss SmartSEM: numbers in SI units, then pairs of lines, a code and `Name = value unit`."""
    lines = text.splitlines()
    fields: dict[str, str] = {}
    for code, line in itertools.pairwise(lines):
        if "=" in line and re.fullmatch(r"[A-Z0-9_]+", code.strip()):
            fields[code.strip()] = line.partition("=")[2].strip()
    store = re.findall(r"\d+", fields.get("DP_IMAGE_STORE", ""))
    serial = fields.get("SV_SERIAL_NUMBER") or fields.get("SV_SERIAL_NO")
    return Instrument(
        name=f"Zeiss {serial}" if serial else "Zeiss",
        pixel_nm=length_nm(fields.get("AP_IMAGE_PIXEL_SIZE") or fields.get("AP_PIXEL_SIZE"), "nm"),
        voltage_kv=kilovolts(fields.get("AP_MANUALKV") or fields.get("AP_ACTUALKV"), "kv"),
        magnification=magnification(fields.get("AP_MAG")),
        size=_size(store[1], store[0]) if len(store) == 2 else None,
    )


def _tescan(text: str) -> Instrument:
    """TESCAN: `key=value` in SI units, in a tag behind a small picture, or in a .hdr file."""
    fields = fields_of(text[max(text.find("[MAIN]"), 0) :])
    return Instrument(
        name=fields.get("DeviceModel") or fields.get("Device"),
        pixel_nm=length_nm(fields.get("PixelSizeX"), "m"),
        voltage_kv=kilovolts(fields.get("HV") or fields.get("AcceleratorVoltage"), "v"),
        magnification=number(fields.get("Magnification")),
        bar_rows=_rows(fields.get("ImageStripSize")),
    )


def _phenom(text: str) -> Instrument:
    """Phenom: XML, each length with its unit."""

    def value(name: str) -> str | None:
        found = re.search(rf"<{name}\b([^<>]{{0,200}})>([^<>]{{0,200}})</{name}>", text)
        unit = re.search(r"unit=\"([^\"]*)\"", found[1]) if found else None
        return f"{found[2]} {unit[1] if unit else ''}" if found else None

    return Instrument(
        name=(value("instrumentType") or value("type") or "Phenom").strip(),
        pixel_nm=length_nm(value("pixelWidth"), "um"),
        voltage_kv=kilovolts(value("acceleratingVoltage") or value("highVoltage"), "v"),
        magnification=number(value("magnification")),
        bar_rows=_rows(value("databarHeight")),
    )


def _hitachi(text: str) -> Instrument:
    """Hitachi: a .txt file of `key=value`, PixelSize in nm."""
    fields = fields_of(text[text.find("[SemImageFile]") :])
    size = re.findall(r"\d+", fields.get("DataSize", ""))
    return Instrument(
        name=fields.get("InstructName"),
        pixel_nm=length_nm(fields.get("PixelSize"), "nm"),
        voltage_kv=kilovolts(fields.get("AcceleratingVoltage"), "v"),
        magnification=number(fields.get("Magnification")),
        size=_size(size[1], size[0]) if len(size) == 2 else None,
    )


def _jeol(text: str) -> Instrument:
    """JEOL: a .txt file of `$CM_KEY value`, the voltage in kV; lengths have their unit."""
    fields = {key.lstrip("$"): value for key, value in fields_of(text, " ").items()}
    size = re.findall(r"\d+", fields.get("CM_IMAGE_SIZE") or fields.get("CM_FULL_SIZE") or "")
    marker, marker_pixels = length_nm(fields.get("SM_MICRON_MARKER"), "um"), number(fields.get("SM_MICRON_BAR"))
    field_nm = length_nm(fields.get("CM_FIELD_OF_VIEW"), "um")
    pixel = length_nm(fields.get("CM_PIXEL_SIZE"), "nm")
    if pixel is None and field_nm and size:
        pixel = field_nm / max(int(size[0]), 1)
    if pixel is None and marker and marker_pixels:
        pixel = marker / marker_pixels
    return Instrument(
        name=fields.get("CM_INSTRUMENT"),
        pixel_nm=pixel,
        voltage_kv=kilovolts(fields.get("CM_ACCEL_VOLT"), "kv"),
        magnification=number(fields.get("CM_MAG")),
        size=_size(size[1], size[0]) if len(size) >= 2 else None,
        bar_rows=_rows(fields.get("SM_PNU_HEIGHT")),
    )


def _description(text: str) -> Instrument:
    """OME-XML, or one of the above that stands in the description."""
    if "<OME" in text[:2_000]:
        size = re.search(r'\bPhysicalSizeX="([^"]{1,50})"', text)
        unit = re.search(r'\bPhysicalSizeXUnit="([^"]{1,50})"', text)
        model = re.search(r'<Microscope\b[^<>]{0,500}\bModel="([^"]{1,100})"', text)
        return Instrument(
            name=model[1] if model else None,
            pixel_nm=length_nm(f"{size[1]} {unit[1] if unit else 'um'}", "um") if size else None,
        )
    if "PixelWidth=" in text and "[Scan]" in text:
        return _fei(text)
    return next((read(text) for marker, read in SIDECARS.items() if marker in text), Instrument())


SIDECARS: Mapping[str, Callable[[str], Instrument]] = {
    "[SemImageFile]": _hitachi,
    "$CM_": _jeol,
    "PixelSizeX=": _tescan,
}
"""Who reads the text file beside an image, by what stands in it."""
READERS: Mapping[int, Callable[[str], Instrument]] = {
    tags.FEI_HELIOS: _fei,
    tags.FEI_SFEG: _fei,
    tags.ZEISS: _zeiss,
    tags.TESCAN: _tescan,
    tags.PHENOM: _phenom,
    tags.DESCRIPTION: _description,
}
"""Who reads a text in the file, by the number of its TIFF tags."""


def _sections(text: str) -> dict[str, dict[str, str]]:
    """The fields of a text with `[section]` lines, by section."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip().startswith("["):
            section = found.setdefault(line.strip().strip("[]"), {})
        elif "=" in line:
            key, _, value = line.partition("=")
            section.setdefault(key.strip(), value.strip())
    return found


def fields_of(text: str, between: str = "=") -> dict[str, str]:
    """The fields of a text of one a line; of several of one name, the first."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition(between)
        if separator and value.strip():
            found.setdefault(key.strip(), value.strip())
    return found


def _size(height: str | None, width: str | None) -> tuple[int, int] | None:
    rows, columns = _rows(height), _rows(width)
    return (rows, columns) if rows and columns else None


def _rows(text: str | None) -> int | None:
    found = number(text)
    return int(found) if found and 1 <= found <= 1e6 else None
