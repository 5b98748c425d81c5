"""Times that a request gives for its history."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.history_ages import ages_of, now_in_seconds

NOW = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
SECONDS = int(NOW.timestamp())


def test_times_become_whole_seconds_before_the_request() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9))) - timedelta(minutes=1)
    given = ["2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, 5), east]
    assert ages_of(given, ["a", "b", "c"], SECONDS) == (1800, 1500, 60)
    assert ages_of(None, ["a"], SECONDS) is None
    assert ages_of([], [], SECONDS) == ()


def test_a_clock_may_be_a_minute_ahead() -> None:
    assert ages_of([NOW + timedelta(seconds=59)], ["a"], SECONDS) == (0,)


@pytest.mark.parametrize(
    ("times", "history", "words"),
    [
        ([NOW], ["a", "b"], "one time per item of history, got 1 times and 2 items"),
        ([NOW], None, "got 1 times and none"),
        ([NOW, NOW - timedelta(1)], ["a", "b"], "expected the oldest first"),
        ([NOW + timedelta(1)], ["a"], "is after the time of the request"),
        (["yesterday"], ["a"], "texts such as 2026-01-31T18:30:00Z, got 'yesterday'"),
        ([SECONDS], ["a"], f"expected datetimes, or texts .* got {SECONDS}"),
        ([NOW.date()], ["a"], "expected datetimes, or texts"),
        ([None], ["a"], "expected datetimes, or texts .* got None"),
        ([pd.NaT], ["a"], "expected datetimes, or texts .* got NaT"),
        ([np.datetime64("2026-01-31")], ["a"], "expected datetimes, or texts"),
    ],
)
def test_wrong_times_are_refused(times: list[Any], history: list[str] | None, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        ages_of(times, history, SECONDS)


def test_the_clock_counts_whole_seconds() -> None:
    assert abs(now_in_seconds() - datetime.now(UTC).timestamp()) < 60
