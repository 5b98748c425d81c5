"""Places of ids: against a dictionary, and whichever way an id is written."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError
from crosstower.values.lookup import places_in, places_of_ids

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(TEXTS, unique=True, max_size=20), st.lists(st.none() | TEXTS, max_size=20))
def test_places_of_texts_are_those_of_a_dictionary(
    known: list[str], wanted: list[str | None]
) -> None:
    wanted += known[::-1]
    place = {value: number for number, value in enumerate(known)}
    found = places_in(pl.Series(known, dtype=pl.String), pl.Series(wanted, dtype=pl.String))
    assert found.tolist() == [place.get(value, -1) for value in wanted]  # type: ignore[arg-type]
    assert found.dtype == np.int64


@given(st.lists(INTEGERS, unique=True, max_size=20), st.lists(INTEGERS, max_size=20))
def test_every_digit_of_an_integer_counts(known: list[int], wanted: list[int]) -> None:
    wanted += [one + 1 for one in known if one < 2**63 - 1] + known
    place = {value: number for number, value in enumerate(known)}
    both = pl.Series(known, dtype=pl.Int64), pl.Series(wanted, dtype=pl.Int64)
    expected = [place.get(value, -1) for value in wanted]
    assert places_of_ids(*both).tolist() == expected
    assert places_in(*both).tolist() == expected


@pytest.mark.parametrize("wanted", [[30, 10, 7], ["30", "10", "7"], [30.0, 10.0, 7.0]])
@pytest.mark.parametrize("known", [[10, 20, 30], ["10", "20", "30"]])
def test_a_number_and_its_text_are_one_id(known: list, wanted: list) -> None:
    assert places_of_ids(pl.Series(known), pl.Series(wanted)).tolist() == [2, 0, -1]


def test_other_spellings_of_a_number_are_other_ids() -> None:
    known = pl.Series([7, 8])
    assert places_of_ids(known, pl.Series(["07", "+7", "7,0", None, "8"])).tolist() == [
        -1, -1, -1, -1, 1,
    ]  # fmt: skip


def test_a_value_that_its_type_cannot_hold_is_unknown() -> None:
    known = pl.Series([1, 2], dtype=pl.Int64)
    assert places_in(known, pl.Series(["2", "two", None])).tolist() == [1, -1, -1]


def test_lists_are_no_ids() -> None:
    with pytest.raises(DataError, match="List"):
        places_of_ids(pl.Series([1]), pl.Series("tags", [[1]]))
