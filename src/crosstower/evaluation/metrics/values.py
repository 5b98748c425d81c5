"""Values that metrics are computed from: their mean, and the refusal of wrong ones. No torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import DataError

Floats = NDArray[np.floating[Any]]


def mean_of(values: Floats) -> float:
    """Return the mean in float64; NaN without values."""
    return float(np.mean(values, dtype=np.float64)) if len(values) else math.nan


def refuse(wrong: NDArray[np.bool_], values: Floats, rule: str) -> None:
    """Reject wrong values.

    Args:
        wrong: `[B]`, whether each value is wrong.
        values: `[B]`.
        rule: start of the message, such as "expected a finite label".

    Raises:
        DataError: there is a wrong value; shows the first one, its row and how many there are.

    """
    if bool(wrong.any()):
        row = int(wrong.argmax())
        raise DataError(f"{rule}, got {values[row]} in row {row}, {int(wrong.sum())} such rows")
