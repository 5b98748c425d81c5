"""Array types that the whole package uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
"""Positions of rows or items, from 0."""

Floats = NDArray[np.float64]
"""Numbers in double precision."""

AnyFloats = NDArray[np.floating[Any]]
"""Numbers in any precision."""
