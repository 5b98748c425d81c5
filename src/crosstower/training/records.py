"""The record of an evaluation: metrics, speed since the last one, and whether it is the best."""

from __future__ import annotations

import time
from typing import Any

from crosstower.data.prefetch import DataWaitTimer


class SpeedMeter:
    """Measures the speed of training between evaluations.

    Args:
        waits: batches, which time the waiting for them.

    """

    def __init__(self, waits: DataWaitTimer[Any]) -> None:
        self._waits = waits
        self.restart()

    def restart(self) -> None:
        """Restart the measurement, so that the time of an evaluation does not count."""
        self._start, self._waited, self.rows = time.perf_counter(), self._waits.seconds, 0

    def speed(self) -> dict[str, float]:
        """Return seconds, rows per second and the share of waiting since the last start."""
        seconds = time.perf_counter() - self._start
        waited = self._waits.seconds - self._waited
        return {
            "seconds": seconds,
            "rows_per_second": self.rows / seconds,
            "wait_share": waited / seconds,
        }


NO_SPEED = {"seconds": 0.0, "rows_per_second": 0.0, "wait_share": 0.0}
"""Speed of an evaluation without a step before it."""
