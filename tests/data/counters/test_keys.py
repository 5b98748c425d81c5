"""Keys of counts: equal values have equal keys, whatever their type."""

import numpy as np
import polars as pl
import pytest

from crosstower.data.counters.keys import hash_of, hashes_of, keys_of
from crosstower.errors import DataError

VALUES = [7, "7", 7.0, "007", 2.5, True, None, "", "Zürich", "2024-01-15T10:30:00+01:00"]


@pytest.mark.parametrize("value", VALUES)
def test_one_value_hashes_as_in_a_column(value: object) -> None:
    assert hash_of(value) == int(hashes_of(pl.Series([value]))[0])


def test_equal_ids_of_other_types_are_one_key() -> None:
    whole = {int(hashes_of(pl.Series([v]))[0]) for v in (7, "7", 7.0, " 7 ")}
    assert len(whole) == 1
    assert hash_of("007") != hash_of(7)


def test_a_key_without_one_of_its_values_is_none() -> None:
    users, topics = hashes_of(pl.Series([1, None, 1, 2])), hashes_of(pl.Series(["a", "a", "", "a"]))
    keys = keys_of([users, topics])
    assert (keys == 0).tolist() == [False, True, True, False]
    assert keys[0] != keys[3]
    assert keys[0] != keys_of([topics, users])[0]


def test_a_value_that_all_rows_share_is_given_once() -> None:
    items = hashes_of(pl.Series([1, 2, 3]))
    user = hashes_of(pl.Series(["u"]))
    whole = keys_of([hashes_of(pl.Series(["u"] * 3)), items])
    assert np.array_equal(keys_of([user, items]), whole)


def test_lists_are_refused() -> None:
    with pytest.raises(DataError, match=r"column 'tags': expected single values"):
        hashes_of(pl.Series("tags", [["a"]]))
