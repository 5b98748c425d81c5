"""Ages of histories that rows have as lists, from lists of times."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from crosstower.data.counters.list_ages import ages_at, list_ages, list_clock, list_moments
from crosstower.data.sources.source import FrameSource
from crosstower.errors import DataError
from crosstower.recipe.event_list import TimedList
from crosstower.recipe.times import TimeFormat

START = 1_700_000_000
ONE = TimedList("had", "whens", "ages", separator="|")


def frame(had: list[Any], whens: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"had": had, "whens": pl.Series(whens, strict=False)})


def ages(rows: pl.DataFrame, at: Sequence[int | None], how: TimeFormat | None = None) -> list[Any]:
    clock = list_clock(FrameSource(rows), ONE, how or TimeFormat())
    instants = pl.Series([None if one is None else one * 10**9 for one in at], dtype=pl.Int64)
    return list_ages(ONE, rows, clock, instants).to_list()


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


@pytest.mark.parametrize(
    "whens",
    [
        [[START, START + 60], [], [START + 5]],
        [[START * 1000 + 999, (START + 60) * 1000], [], [(START + 5) * 1000]],
        [[moment(0), moment(60)], [], [moment(5)]],
        [[moment(0).isoformat(), moment(60).isoformat()], [], [moment(5).isoformat()]],
        [f"{START}|{START + 60}", "", f"{START + 5}"],
    ],
    ids=["seconds", "milliseconds", "datetimes", "texts", "separated"],
)
def test_times_of_every_form_are_whole_seconds_before_the_row(whens: list[Any]) -> None:
    rows = frame([["a", "b"], [], ["c"]], whens)
    at = [START + 100, START, START + 5]
    assert ages(rows, at) == [[100, 40], [], [0]]


def test_what_cannot_be_an_age_is_left_to_the_reader() -> None:
    rows = frame(
        [["a", "b"], ["a"], ["a"], None, ["a"]],
        [[START, START + 60], [START, START + 1], [None], None, None],
    )
    at = [START + 50, START + 99, START, START, START]
    assert ages(rows, at) == [[50, -10], [None], [None], [], [None]]
    assert ages(rows.head(1), [None]) == [[None, None]]


@pytest.mark.parametrize("had", [["a", "", "b"], ["a", "  ", "b"], "a||b"])
def test_a_blank_value_takes_no_time_of_another(had: Any) -> None:
    rows = frame([had], [[START, START + 60, START + 90]])
    assert ages(rows, [START + 100]) == [[None]]


def test_differences_beyond_float32_are_exact() -> None:
    rows = frame([["a"]], [[START - 123_456_789]])
    assert ages(rows, [START + 1]) == [[123_456_790]]


def test_numbers_that_only_order_are_refused() -> None:
    with pytest.raises(DataError, match="column 'whens': holds numbers that only order the events"):
        list_clock(FrameSource(frame([["a"]], [[3]])), ONE)
    assert ages(frame([["a"]], [[3]]), [10], TimeFormat(format="s")) == [[7]]
    with pytest.raises(DataError, match="expected lists"):
        list_clock(FrameSource(pl.DataFrame({"whens": [1.5]})), TimedList("had", "whens", "ages"))


def test_all_lists_may_be_empty() -> None:
    assert ages(frame([[], None], [[], None]), [START, START]) == [[], []]


def test_a_request_may_leave_the_times_out() -> None:
    rows = frame([["a", "b"]], [[START, START + 60]])
    (found,) = ages_at([ONE], rows, {}, START + 70)
    assert found.to_list() == [[70, 10]]
    (found,) = ages_at([ONE], rows.drop("whens"), {}, START)
    assert found.to_list() == [None]


def test_times_as_datetimes() -> None:
    rows = frame([["a", "b"], []], [[START, START + 60], []])
    found = list_moments(ONE, rows, list_clock(FrameSource(rows), ONE))
    assert found.to_list() == [[moment(0), moment(60)], []]
