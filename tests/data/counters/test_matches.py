"""Rows with events of a count, in words."""

from crosstower.data.counters.matches import CountMatch
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList

COUNT = EventCount(("click", "like"), ("user", "topic"), window=6 * 3_600 * 10**9)


def test_rows_with_events_are_counted() -> None:
    match = CountMatch(COUNT, rows=1_000, found=5)
    assert not match.low
    assert match.sentence == (
        "counts of 'click', 'like' by user, topic within 6h: 5 of 1,000 rows have events (0.5%)"
    )


def test_no_row_with_events_comes_with_advice() -> None:
    match = CountMatch(COUNT, rows=10, found=0)
    assert match.low
    assert match.sentence.endswith(
        "; check that rows and events write their keys alike, and that their times overlap"
    )
    assert not CountMatch(COUNT, rows=0, found=0).low


def test_a_history_is_named_by_its_column() -> None:
    history = EventList("seen", ("like",), ("user",), value="item", length=9)
    assert CountMatch(history, rows=4, found=1).sentence == (
        "history 'seen' of 'like' by user: 1 of 4 rows have events (25.0%)"
    )
