"""Ages of histories that requests and rows give to a ranker."""

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.funnel.history_ages import HistoryAges
from crosstower.recipe.schema import Categorical, Cross, Schema, Sequence

NOW = 1_700_000_100
AGES = "\0ages:"


@pytest.fixture
def ages() -> HistoryAges:
    """One history with a list of times, one of events, and one without times."""
    events = Sequence(table="item", pooling="hstu", times=True, event=("click",), by=("user",))
    columns = {
        "item": Categorical(),
        "device": Categorical(),
        "both": Cross(columns=("item", "device")),
        "had": Sequence(table="item", pooling="hstu", times="whens"),
        "liked": events,
        "plain": Sequence(table="item"),
    }
    return HistoryAges.of(Schema(columns=columns), {})


def test_each_timed_history_has_a_column_of_ages(ages: HistoryAges) -> None:
    assert ages.columns == {"had": f"{AGES}had", "liked": f"{AGES}liked"}
    assert ages.times == ["whens"]
    assert ages.owner(f"{AGES}had") == "had"
    assert ages.owner("plain") is None
    assert ages.without(["had", f"{AGES}had", "plain"]) == ["had", "plain"]


def test_a_query_gives_times_or_counts_as_of_now(ages: HistoryAges) -> None:
    times = [NOW - 100, NOW - 30]
    found = ages.of_query({"had": ["a", "b"], "whens": times, "device": "tv"}, NOW)
    assert found[f"{AGES}had"] == [100, 30]
    assert f"{AGES}liked" not in found
    assert ages.of_query({"had": ["a"]}, NOW) == {"had": ["a"], f"{AGES}had": None}
    assert ages.of_query({"device": "tv"}, NOW) == {"device": "tv"}
    with pytest.raises(DataError, match="column 'whens'"):
        ages.of_query({"had": ["a"], "whens": [True]}, NOW)
    with pytest.raises(DataError, match="holds the times of 'had', which the query lacks"):
        ages.of_query({"whens": times}, NOW)


def test_the_clock_of_a_client_may_be_a_minute_ahead(ages: HistoryAges) -> None:
    had, whens = ["a", "b", "c"], [NOW - 7, NOW + 1, NOW + 60]
    assert ages.of_query({"had": had, "whens": whens}, NOW)[f"{AGES}had"] == [7, 0, 0]
    late = ages.of_query({"had": ["a"], "whens": [NOW + 61]}, NOW)
    assert late[f"{AGES}had"] == [-61]  # which the reader of ages refuses


def test_rows_have_all_columns_of_ages(ages: HistoryAges) -> None:
    frame = pl.DataFrame({"had": [["a"], []], "whens": [[NOW - 5], []], "liked": [["a"], ["b"]]})
    found = {series.name: series.to_list() for series in ages.of_rows(frame, NOW)}
    assert found == {f"{AGES}had": [[5], []], f"{AGES}liked": [None, None]}
