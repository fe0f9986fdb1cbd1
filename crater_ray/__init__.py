"""crater-ray scans archives of microscope images for tiny impact craters."""

__version__ = "0.1.0"
