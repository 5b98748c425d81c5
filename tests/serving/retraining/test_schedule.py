from crosstower.serving.retraining.schedule import next_start

DAY = 86_400.0


def test_starts_do_not_drift_and_missed_ones_are_skipped() -> None:
    now, starts = 0.0, list[float]()
    for seconds in (10.0, 3_000.0, 2.5 * DAY, 5.0):  # of the attempts
        now += seconds
        now = next_start(0.0, DAY, now, failures=0)
        starts.append(now)
    assert starts == [DAY, 2 * DAY, 5 * DAY, 6 * DAY]


def test_waits_after_failures_double_up_to_the_schedule() -> None:
    waits = [next_start(0.0, DAY, 100.0, failures=n) - 100.0 for n in range(1, 13)]
    assert waits[:5] == [60.0, 120.0, 240.0, 480.0, 960.0]
    assert waits[11] == DAY - 100.0
    assert next_start(0.0, DAY, 100.0, failures=100_000) == DAY


def test_the_next_start_is_always_later() -> None:
    assert next_start(0.0, 1.0, 5.0, failures=0) == 6.0
    assert 0.7 < next_start(0.0, 0.25, 0.7, failures=3) <= 0.75
