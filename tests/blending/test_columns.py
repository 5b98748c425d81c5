import numpy as np
import polars as pl
import pytest

from crosstower.blending.columns import (
    amounts_of,
    column_of,
    most_rows_first,
    named_types,
    numbers_of,
    predictions_of,
    types_of,
)
from crosstower.errors import DataError


def test_numbers_are_double_and_nan_where_missing():
    frame = pl.DataFrame({"a": [1, None, 3], "b": [True, False, None], "c": [None, None, None]})
    np.testing.assert_array_equal(numbers_of(frame, "a"), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(numbers_of(frame, "b"), [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(numbers_of(frame, "c"), [np.nan] * 3)


def test_types_become_text():
    types = types_of(pl.DataFrame({"kind": [1, None, 2, 1, 3]}), "kind")
    assert types.to_list() == ["1", None, "2", "1", "3"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.1, None], "task 'like': expected a finite prediction, got nan in row 1, 1 such rows"),
        ([np.inf, -np.inf], "got inf in row 0, 2 such rows"),
        ([0.1, 1.5], "logit and probit need a probability in [0, 1]; use percentile for others"),
        (["a", "b"], "column 'like__prediction' holds String, expected numbers"),
        ([[1.0], [2.0]], "holds List(Float64), expected one value per row"),
    ],
)
def test_unusable_predictions_are_named(values, message):
    frame = pl.DataFrame({"like__prediction": values})
    with pytest.raises(DataError) as caught:
        predictions_of(frame, "like", probabilities=True)
    assert message in str(caught.value)


def test_types_are_those_of_the_calibration():
    types = types_of(pl.DataFrame({"kind": [1.0, None, 2.5]}), "kind")
    assert (types.name, types.to_list()) == ("type", ["1", None, "2.5"])


def test_types_are_named_with_most_rows_first_and_five_at_most():
    counts = {"b": 2, None: 2, "a": 2, "c": 3000, "": 1}
    assert list(most_rows_first(counts)) == ["c", "a", "b", None, ""]
    assert named_types(counts) == "'c' (3,000), 'a' (2), 'b' (2), missing (2), '' (1)"
    many = {str(i): i for i in range(1, 8)}
    assert named_types(many) == "'7' (7), '6' (6), '5' (5), '4' (4), '3' (3) and 2 more"


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), None])
def test_unusable_amounts_are_counted_and_what_to_do_is_said(wrong):
    with pytest.raises(DataError) as caught:
        amounts_of(pl.DataFrame({"bid": [0.0, wrong, wrong]}), "bid")
    shown = float("nan") if wrong is None else wrong
    assert str(caught.value) == (
        f"column 'bid': expected an amount of 0 or more, got {shown} in row 1, 2 such rows; fill"
        " missing and negative amounts, or drop those rows"
    )


def test_a_missing_column_is_named_with_what_is_there():
    with pytest.raises(DataError, match="no column 'user'; did you mean 'users'"):
        column_of(pl.DataFrame({"users": [1]}), "user")
