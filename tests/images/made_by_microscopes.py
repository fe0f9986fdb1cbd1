"""Files as microscopes write them: pixels, and the fields that each maker puts into tags or beside the image."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from PIL import Image

FEI = """[User]
Date=03/14/2022
User=supervisor

[System]
Type=DualBeam
SystemType=Helios G4 UX
DisplayWidth=0.4

[Beam]
HV=5000
Scan=EScan
Beam=EBeam

[EBeam]
Source=FEG
HV=5000
WD=0.00409547

[Scan]
InternalScan=true
Dwelltime=3e-006
PixelWidth=2.5e-009
PixelHeight=2.5e-009
HorFieldsize=2.56e-006

[Image]
ResolutionX=512
ResolutionY=384
MagCanvasRealWidth=0.128

[PrivateFei]
BitShift=0
DataBarSelected=HV curr mag HFW WD Label MicronBar
DatabarHeight=48
""".replace("\n", "\r\n")

ZEISS = (
    "\r\n0\r\n3.1e-9\r\n0\r\nAP_MAG\r\nMag = 40.00 K X\r\nAP_WD\r\nWD =  8.5 mm\r\nAP_ACTUALKV\r\nEHT =  5.00 kV\r\n"
    "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.791 nm\r\nDP_DETECTOR_CHANNEL\r\nSignal A = InLens\r\n"
    "DP_IMAGE_STORE\r\nStore resolution = 512 * 384\r\nSV_SERIAL_NUMBER\r\nSerial No. = MERLIN-61-10\r\n"
    "AP_DATE\r\nDate :24 Mar 2017\r\n"
)

TESCAN = """[MAIN]
Company=TESCAN
Device=MIRA3
DeviceModel=MIRA3 LMH
ImageStripSize=48
Magnification=5000.0
PixelSizeX=4.1e-008
PixelSizeY=4.1e-008

[SEM]
Detector=SE
HV=15000.0
WD=0.0100
""".replace("\n", "\r\n")

HITACHI = """[SemImageFile]
InstructName=SU8230
SerialNumber=8230-01
Format=tif
DataSize=512x384
PixelSize=9.921875
SignalName=SE(U)
AcceleratingVoltage=15000 Volt
Magnification=10000
WorkingDistance=8100 um
""".replace("\n", "\r\n")

JEOL = """$CM_FORMAT JEOL/SEM
$CM_VERSION 1.0
$CM_INSTRUMENT JSM-7800F
$CM_MAG 5000
$CM_ACCEL_VOLT 15.00
$CM_FULL_SIZE 512 384
$$SM_MICRON_BAR 180
$$SM_MICRON_MARKER 5um
"""

JEOL_NEWER = JEOL + "$CM_IMAGE_SIZE 512 384\n$CM_FIELD_OF_VIEW 12.8um 9.6um\n$SM_PNU_HEIGHT 48\n"

PHENOM = (
    '<FeiImage version="1"><instrument><type>Phenom XL</type></instrument><acquisition>'
    '<acceleratingVoltage unit="V">10000</acceleratingVoltage><pixelWidth unit="um">0.0427</pixelWidth>'
    '<pixelHeight unit="um">0.0427</pixelHeight><magnification>6300</magnification></acquisition>'
    "<databarHeight>48</databarHeight></FeiImage>"
)

OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Instrument ID="Instrument:0"><Microscope Manufacturer="Zeiss" Model="GeminiSEM 500"/></Instrument>'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" SizeX="512" SizeY="384" PhysicalSizeX="{size}"{unit} Type="uint8"/>'
    "</Image></OME>"
)


def tiff(
    pixels: np.ndarray,
    tag: int | None = None,
    text: str = "",
    *,
    prefix: bytes = b"",
    encoding: str = "latin-1",
    **more,
) -> bytes:
    """A TIFF file with a maker's text in one tag."""
    out = io.BytesIO()
    raw = prefix + text.encode(encoding)
    tags = [] if tag is None else [(tag, 1, len(raw), raw, True)]
    tifffile.imwrite(out, pixels, extratags=tags, metadata=None, **more)
    return out.getvalue()


def phenom_jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG with Phenom's XML behind its header."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", comment=PHENOM.encode())
    return out.getvalue()
