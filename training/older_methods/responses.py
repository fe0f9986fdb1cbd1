"""What both older methods give for one image: the best response at each size, and where it is."""

from __future__ import annotations

import numpy as np

DIAMETERS_PX = tuple(float(d) for d in np.round(np.geomspace(4.0, 40.0, 10), 1))
"""Sizes that both methods look for, log-spaced."""

Responses = np.ndarray
"""float64 (sizes, 3): the highest response at each of `DIAMETERS_PX`, and x and y of its centre in pixels."""
