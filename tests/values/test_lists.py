"""Lists from lists and from the text that files hold of them."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError
from crosstower.values.lists import age_cells, id_lists, number_lists, plain_lists


def lists(raw: list[object], separator: str | None = None) -> list[list[object] | None]:
    values, bad = id_lists(pl.Series("x", raw), separator)
    assert not bad.any()
    return values.to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", [1, 2]),
        ("[1 2  3]", [1, 2, 3]),  # as NumPy prints it
        ("[]", []),
        ("['a', \"b\"]", ["a", "b"]),
        ("['a, b', 'c']", ["a, b", "c"]),
        ('["it\\"s"]', ['it"s']),
        ("[a, b]", ["a", "b"]),
        ("['a', None, '']", ["a", None]),
    ],
)
def test_a_list_in_brackets_is_read_as_python_json_and_numpy_write_it(
    text: str, expected: list[object]
) -> None:
    found = lists([text])[0]
    assert found == [None if v is None else str(v) for v in expected] or found == expected


@given(st.lists(st.lists(st.sampled_from(["a", "b c", "d,e", 'f"g', "h'i"])), min_size=1))
def test_json_is_read_as_it_was_written(words: list[list[str]]) -> None:
    assert lists([json.dumps(w) for w in words]) == words


@pytest.mark.parametrize(
    ("separator", "text", "expected"),
    [("|", "a| b |", ["a", "b"]), (",", "a,b", ["a", "b"]), (" ", "a b", ["a", "b"])],
)
def test_a_separator_splits_text(separator: str, text: str, expected: list[str]) -> None:
    assert lists([text, None], separator) == [expected, None]


def test_nested_lists_and_text_that_is_no_list_are_bad() -> None:
    _, bad = id_lists(pl.Series("x", ["[[1], 2]", "1, 2", "[1]", "", None]), None)
    assert bad.to_list() == [True, True, False, False, False]


def test_a_list_of_numbers_that_are_no_ids_is_bad_as_a_whole() -> None:
    values, bad = id_lists(pl.Series("x", [[1.0, 2.0], [1.5], None]), None)
    assert bad.to_list() == [False, True, False]
    assert values.to_list()[0] == [1, 2]


def test_blank_values_are_left_out_of_their_list() -> None:
    assert lists([["a", "", "b"], [None], []]) == [["a", "b"], [None], []]


def test_a_column_of_numbers_is_no_list() -> None:
    with pytest.raises(DataError, match="column 'x': expected lists, got Int64; store lists"):
        id_lists(pl.Series("x", [1, 2]), None)


def test_vectors_are_numbers_or_missing() -> None:
    found = number_lists(pl.Series("v", ["[1, 2.5]", "[a]", "1 2"]), 2)
    assert found.to_list() == [[1.0, 2.5], [None], None]
    assert found.dtype == pl.List(pl.Float64)


def test_ages_are_of_every_value_and_the_oldest_comes_first() -> None:
    lists = [[9, 9, 0], [], None, [5, 6], [3, -1], [None], [None, 3], [7]]
    found = age_cells(pl.Series(lists, dtype=pl.List(pl.Int64)))
    assert found.bad.to_list() == [False, False, False, True, True, True, True, False]
    assert found.values.to_list() == lists
    assert age_cells(pl.Series([None, None])).bad.to_list() == [False, False]


def test_plain_lists_keep_their_values() -> None:
    assert plain_lists(pl.Series([[1.5, None], None]), None).to_list() == [[1.5, None], None]
    assert plain_lists(pl.Series(["a| b", "[1, 2]"]), "|").to_list() == [["a", "b"], ["1", "2"]]
