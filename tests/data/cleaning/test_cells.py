"""Cells of each kind of column: canonical values, which are bad, and what to say of them."""

from datetime import UTC, datetime

import polars as pl
import pytest

from crosstower.data.cleaning.cells import (
    amount_cells,
    column_cells,
    distance_cells,
    number_cells,
    time_cells,
    to_ids,
)
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.schema import Bag, Categorical, Cross, Distance, Numeric, Text, Vector


def test_numbers_are_read_from_text_and_must_be_finite() -> None:
    cells = number_cells(pl.Series("x", ["1", " 2.5 ", "abc", None, "inf"]))
    assert cells.values.to_list()[:2] == [1.0, 2.5]
    assert cells.bad.to_list() == [False, False, True, False, True]
    assert cells.expected == "a finite number"


def test_amounts_must_be_there_and_not_be_negative() -> None:
    cells = amount_cells(pl.Series("bid", [0.0, 2.0, -1.0, None]))
    assert cells.bad.to_list() == [False, False, True, True]


def test_ids_are_canonical_and_a_fraction_is_none() -> None:
    cells = column_cells("user", Categorical(), pl.Series("user", [7.0, 1.5, None]))
    assert cells.values.to_list()[0] == 7
    assert cells.bad.to_list() == [False, True, False]
    assert "round them" in cells.advice


def test_lists_and_vectors_are_checked_by_row() -> None:
    lists = column_cells("tags", Bag(separator="|"), pl.Series("tags", ["a|b", "", None]))
    assert lists.values.to_list() == [["a", "b"], [], None]
    assert not lists.bad.any()
    raw = pl.Series("v", [[1.0, 2.0], [1.0], [1.0, float("nan")], None])
    vectors = column_cells("v", Vector(width=2), raw)
    assert vectors.bad.to_list() == [False, True, True, False]
    assert vectors.expected == "2 finite numbers"


def test_text_without_a_separator_asks_for_one() -> None:
    cells = column_cells("tags", Bag(), pl.Series("tags", ["[1, 2]", "1|2"]))
    assert cells.bad.to_list() == [False, True]
    assert "separator" in cells.advice


def test_texts_may_be_numbers_but_not_lists() -> None:
    assert column_cells("t", Text(), pl.Series("t", [1, 2])).values.to_list() == ["1", "2"]
    with pytest.raises(DataError, match="column 't': expected text, got List"):
        column_cells("t", Text(), pl.Series("t", [["a"]]))


def test_numeric_columns_take_numbers() -> None:
    assert column_cells("x", Numeric(), pl.Series("x", [1, None])).values.to_list() == [1.0, None]


def test_a_column_made_of_others_has_no_cells() -> None:
    cross = Cross(columns=("a", "b"), hash_buckets=10)
    with pytest.raises(TypeError, match="column 'a_b' has no cells of its own"):
        column_cells("a_b", cross, pl.Series("a_b", [1]))


def test_a_distance_checks_its_four_coordinates() -> None:
    column = Distance(origin=("lat", "lon"), to=("to_lat", "to_lon"))
    frame = pl.DataFrame(
        {"lat": [0.0, 91.0], "lon": [0.0, 0.0], "to_lat": [0.0, 0.0], "to_lon": [1.0, 181.0]}
    )
    cells = distance_cells("away", column, frame)
    assert [source for _, source, _ in cells] == ["lat", "lon", "to_lat", "to_lon", "away"]
    assert [c.bad.to_list()[1] for _, _, c in cells] == [True, False, False, True, False]
    name, _, distance = cells[-1]
    assert name == "away"
    assert distance.values[0] == pytest.approx(111.19, abs=0.02)  # one degree at the equator


def test_times_must_be_there() -> None:
    cells = time_cells(Clock("ts", unit="s"), pl.Series("ts", [0, None]))
    assert cells.bad.to_list() == [False, True]
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    (time,) = time_cells(Clock("ts"), pl.Series("ts", [moment])).values
    assert time == int(moment.timestamp()) * 10**9


def test_a_whole_column_of_ids_has_one_type() -> None:
    assert to_ids("id", pl.Series("id", ["1", "2"])).dtype == pl.Int64
    assert to_ids("id", pl.Series("id", ["1", "b"])).to_list() == ["1", "b"]
    with pytest.raises(DataError, match=r"column 'id': expected an id.*got 2\.5 in row 1"):
        to_ids("id", pl.Series("id", [1.0, 2.5]))
