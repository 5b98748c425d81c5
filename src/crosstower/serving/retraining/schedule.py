"""When the next retraining starts."""

from __future__ import annotations

import math

_FIRST_WAIT = 60.0  # seconds after one failure
_MOST_DOUBLINGS = 20


def next_start(first: float, every: float, now: float, *, failures: int) -> float:
    """Return the time of the next start, in seconds.

    Starts lie on a grid, so they do not drift, and those that a long attempt has missed are
    skipped. After failures the next attempt comes sooner: a minute after the first one, and twice
    as long after each further one.

    >>> next_start(0.0, 3_600.0, 5_000.0, failures=0)
    7200.0
    >>> [next_start(0.0, 3_600.0, 5_000.0, failures=n) for n in (1, 2, 3)]
    [5060.0, 5120.0, 5240.0]

    Args:
        first: time of the first start.
        every: seconds from one start to the next.
        now: the time.
        failures: number of failed attempts in a row.

    """
    planned = first + (math.floor((now - first) / every) + 1) * every
    if not failures:
        return planned
    return min(planned, now + _FIRST_WAIT * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
