"""Rows that find their key in a joined table are counted; none at all is an error."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.sources import source as sources
from crosstower.data.sources.joins import JoinedSource, JoinMatch, join, join_matches
from crosstower.data.sources.source import FilteredSource, Source, open_source
from crosstower.errors import DataError


def joined(keys: list[object], table: list[object]) -> JoinedSource:
    rows = open_source(pl.DataFrame({"user": keys}, strict=False))
    return join(rows, pl.DataFrame({"user": table, "age": range(len(table))}), on="user")


def read(source: Source) -> tuple[JoinMatch, ...]:
    for _ in source.chunks(source.columns()):
        pass
    return join_matches(source)


def test_rows_with_and_without_a_key_are_counted() -> None:
    (match,) = read(joined([1, 2, 9, None], [1, 2, 3]))
    assert (match.rows, match.found, match.keyless) == (4, 2, 1)
    assert match.rate == 0.5
    assert match.low
    assert match.sentence == (
        "join of data frame on 'user': 2 of 4 rows found their key (50.0%), 1 have no key; low:"
        " check that both sides write their keys alike"
    )


def test_a_full_match_gives_no_advice() -> None:
    (match,) = read(joined([1, 2, 2], [1, 2, 3]))
    assert match.sentence == "join of data frame on 'user': 3 of 3 rows found their key (100.0%)"


def test_a_join_that_matches_nothing_is_an_error_that_shows_keys() -> None:
    with pytest.raises(DataError, match=r"none of 3 rows found its key: the rows hold 'u1', 'u2'"):
        read(joined(["u1", "u2", None], ["1", "2"]))
    with pytest.raises(DataError, match="none of the rows has a key, the table holds 1, 2"):
        read(joined([None, None], [1, 2]))


def test_every_pass_counts_anew_and_only_whole_ones_count() -> None:
    source = joined([1, 9], [1])
    assert join_matches(source) == ()
    next(iter(source.chunks(["age"])))
    assert join_matches(source) == ()
    assert read(source) == read(source)


def test_joins_behind_a_condition_and_another_join_are_found() -> None:
    first = joined([1, 2], [1])
    second = join(first, pl.DataFrame({"user": [1, 2], "city": ["a", "b"]}), on="user")
    matches = read(FilteredSource(second, "city == 'a'"))
    assert [match.found for match in matches] == [1, 2]


@given(st.lists(st.integers(0, 5) | st.none(), min_size=1), st.sets(st.integers(0, 5), min_size=1))
def test_counts_are_those_of_a_loop(keys: list[int | None], table: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_ROWS", 3)
        found = sum(key in table for key in keys)
        source = joined(list(keys), sorted(table))
        if found == 0:
            with pytest.raises(DataError, match=f"none of {len(keys)} rows"):
                read(source)
        else:
            (match,) = read(source)
            assert (match.rows, match.found) == (len(keys), found)
            assert match.keyless == sum(key is None for key in keys)
