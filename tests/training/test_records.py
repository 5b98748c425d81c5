import pytest

from crosstower.data.prefetch import DataWaitTimer
from crosstower.training import records
from crosstower.training.records import SpeedMeter


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
