"""The window of a count: exact at its new edge, whole buckets at its old one."""

from hypothesis import given
from hypothesis import strategies as st

from crosstower.recipe.event_count import EventCount

DAY = 86_400 * 10**9


@given(st.integers(1, 40 * DAY), st.integers(-(2**60), 2**60), st.integers(0, DAY))
def test_a_window_covers_its_length_and_at_most_a_bucket_more(
    window: int, time: int, delay: int
) -> None:
    count = EventCount(("click",), ("item_id",), window, min(delay, window - 1))
    first = count.start(time)
    assert time - window - count.width < first <= time - window
    assert first % count.width == 0
    assert count.oldest(time) == first // count.width
    assert first < count.end(time) <= time


def test_a_week_has_buckets_of_two_hours_and_a_half() -> None:
    assert EventCount(("click",), ("item_id",), 7 * DAY).width == 9_450 * 10**9


def test_columns_of_other_counts_have_other_names() -> None:
    counts = [
        EventCount(("a",), ("k",), 10),
        EventCount(("a",), ("k",), 11),
        EventCount(("a",), ("k",), 10, 1),
        EventCount(("a", "b"), ("k",), 10),
        EventCount(("a, b",), ("k",), 10),
        EventCount(("a",), ("k", "l"), 10),
        EventCount(("a", "k"), ("l",), 10),
    ]
    assert len({count.column for count in counts}) == len(counts)
    assert counts[0].column.startswith("\0")
