"""Durations as people write them: `30m`, `12h`, `7d`, `2w`, or a number of seconds."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


def seconds_of(value: Any) -> float:
    """Return a duration in seconds.

    >>> seconds_of("7d"), seconds_of("1.5h"), seconds_of(90)
    (604800.0, 5400.0, 90.0)

    Args:
        value: a number of seconds, or a number with a unit: s, m, h, d or w.

    Raises:
        ValueError: it is neither, or not above 0.

    """
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (found := _PATTERN.fullmatch(value.strip())):
        seconds = float(found[1]) * _SECONDS[found[2]]
    if not (math.isfinite(seconds) and seconds > 0):
        number = "" if isinstance(value, str) else "seconds, or "
        raise ValueError(
            f"expected a duration above 0: {number}a number with a unit (s, m, h, d, w) such as 7d,"
            f" got {value!r:.60}"
        )
    return seconds


def duration_text(seconds: float) -> str:
    """Return a duration as a whole number of the largest unit that allows it, days at most.

    >>> duration_text(604_800), duration_text(5_400), duration_text(0.5)
    ('7d', '90m', '0.5s')
    """
    for unit in "dhm":
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


_Written = (
    Annotated[float, Field(gt=0)] | Annotated[str, Field(pattern=rf"^\s*{_PATTERN.pattern}\s*$")]
)
Duration = Annotated[float, BeforeValidator(seconds_of, json_schema_input_type=_Written)]
"""A field of a model that takes a duration and keeps seconds."""
