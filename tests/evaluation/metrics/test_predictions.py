"""The columns of predictions, and their rows by content type."""

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.evaluation.metrics.predictions import column, require, rows_of_types, types_of

FRAME = pl.DataFrame(
    {
        "kind": ["b", "a", None, "b"],
        "number": [2, 1, 2, 2],
        "tags": [["x"], [], ["y"], ["x"]],
        "click__prediction": [0.1, 0.2, 0.3, 0.4],
    }
)


def test_a_missing_column_is_named_with_those_there_are() -> None:
    require(FRAME, "kind", "number")
    with pytest.raises(DataError, match=r"no column 'kin'; did you mean 'kind'.*kind, number, tag"):
        column(FRAME, "kin")
    assert column(FRAME, "kind").to_list() == ["b", "a", None, "b"]


def test_rows_come_by_type_in_order_and_those_without_one_apart() -> None:
    found = {kind: rows.tolist() for kind, rows in rows_of_types(FRAME, "kind").items()}
    assert found == {None: [2], "a": [1], "b": [0, 3]}
    assert [kind for kind in found if kind is not None] == ["a", "b"]


def test_a_type_is_the_text_of_its_value() -> None:
    found = rows_of_types(FRAME, "number")
    assert {kind: rows.tolist() for kind, rows in found.items()} == {"1": [1], "2": [0, 2, 3]}


def test_without_a_column_there_are_no_types() -> None:
    assert rows_of_types(FRAME, None) == {}


def test_a_row_has_one_type() -> None:
    with pytest.raises(DataError, match="column 'tags' holds List"):
        types_of(FRAME, "tags")
