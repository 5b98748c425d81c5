import math

import pytest

from crosstower.data.prefetch import DataWaitTimer
from crosstower.training import records
from crosstower.training.records import SpeedMeter, improved


@pytest.mark.parametrize(
    ("value", "best", "higher"),
    [(0.7, 0.6, True), (0.6, 0.7, False), (0.5, None, True), (0.5, math.nan, True)],
)
def test_a_better_value_is_an_improvement(value: float, best: float | None, higher: bool) -> None:
    assert improved(value, best, higher_is_better=higher)


def test_neither_an_equal_value_nor_nan_is_an_improvement() -> None:
    assert not improved(0.5, 0.5, higher_is_better=True)
    assert not improved(math.nan, 0.5, higher_is_better=True)
    assert improved(math.nan, None, higher_is_better=True)
    assert improved(None, 0.5, higher_is_better=True)


def test_speed_is_measured_between_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr(records.time, "perf_counter", lambda: next(clock))
    waits = DataWaitTimer[int]([])
    meter = SpeedMeter(waits)
    meter.rows, waits.seconds = 8, 1.0
    expected = {"seconds": 4.0, "rows_per_second": 2.0, "wait_share": 0.25}
    assert meter.speed() == expected
    meter.restart()
    meter.rows = 6
    assert meter.speed() == {"seconds": 2.0, "rows_per_second": 3.0, "wait_share": 0.0}
