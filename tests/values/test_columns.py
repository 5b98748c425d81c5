import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.values.columns import (
    floats_of,
    id_cells,
    ids_of,
    matched,
    matched_id,
    no_ids,
    none_bad,
    number_cells,
    numbers_of,
    settled,
    to_ids,
)
from crosstower.values.ids import id_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, None, -5], pl.Int32, [1, None, -5]),
        ([2**64 - 1, 1], pl.UInt64, [str(2**64 - 1), "1"]),
        ([2**70], pl.Int128, [str(2**70)]),
        ([1.0, None, NAN], pl.Float64, [1, None, None]),
        ([1.0], pl.Float32, [1]),
        ([Decimal("1.00"), Decimal("20.0")], pl.Decimal(10, 2), ["1", "20"]),
        ([True, None], pl.Boolean, ["true", None]),
        ([b"a", b"\xff"], pl.Binary, ["a", "ff"]),
        (["True", "a"], pl.Categorical, ["true", "a"]),
        (["7.0", "b"], pl.Enum(["7.0", "b"]), ["7", "b"]),
        ([dt.time(5)], pl.Time, ["05:00:00"]),
        ([None], pl.Null, [None]),
    ],
)
def test_ids_of_every_type(values: list, dtype: pl.DataType, expected: list) -> None:
    raw = pl.Series("c", values, dtype=dtype)
    assert ids_of(raw).to_list() == expected
    assert not no_ids(raw, ids_of(raw)).any()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([7.5, 1.0], pl.Float64), ([float("inf"), 1.0], pl.Float64), ([2.0**53, 1.0], pl.Float64),
        ([2.0**24, 1.0], pl.Float32), ([Decimal("7.5"), Decimal(1)], pl.Decimal(10, 2)),
    ],
)  # fmt: skip
def test_numbers_that_are_no_ids_are_marked(values: list, dtype: pl.DataType) -> None:
    raw = pl.Series("c", [*values, None], dtype=dtype)
    assert no_ids(raw, ids_of(raw)).to_list() == [True, False, False]


@pytest.mark.parametrize("values", [[[1]], [{"a": 1}], [dt.timedelta(1)]])
def test_what_has_no_single_values_is_refused(values: list) -> None:
    with pytest.raises(DataError, match="column 'c': expected single values such as ids, got"):
        ids_of(pl.Series("c", values))


def test_a_column_of_integers_settles_on_integers() -> None:
    assert settled(pl.Series(["10", "9", None])).to_list() == [10, 9, None]
    assert settled(pl.Series(["10", "007"])).dtype == pl.String
    assert settled(pl.Series([str(2**63)])).dtype == pl.String


@pytest.mark.parametrize(
    ("ids", "known", "expected"),
    [
        (["7", "007", "a", None], [7, 8, 9], [7, None, None, None]),
        ([7, None], ["7", "a"], ["7", None]),
        (["true", "false", "1", "a"], [0, 1], [1, 0, 1, None]),
        ([1, 0, 2], ["false", "true"], ["true", "false", "2"]),
        (["true"], [0, 1, 2], [None]),
        ([1], ["a", "true"], ["1"]),
    ],
)
def test_ids_are_matched_with_known_ones(ids: list, known: list, expected: list) -> None:
    table = pl.Series(known)
    assert matched(pl.Series(ids), table).to_list() == expected
    single = [None if v is None else matched_id(id_of(v), table) for v in ids]  # type: ignore[arg-type]
    assert single == expected


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([" 1.5", "True", "false", "", None], pl.String, [1.5, 1.0, 0.0, None, None]),
        (["1970-01-02", "1970-01-01T00:00:01.5"], pl.String, [86400.0, 1.5]),
        ([dt.datetime(1970, 1, 2)], pl.Datetime("ms"), [86400.0]),
        ([dt.datetime(1970, 1, 2)], pl.Datetime("ns"), [86400.0]),
        ([dt.timedelta(seconds=1.5)], pl.Duration("us"), [1.5]),
        ([dt.timedelta(seconds=1.5)], pl.Duration("ns"), [1.5]),
        ([Decimal("1.50")], pl.Decimal(10, 2), [1.5]),
        (["10", "20"], pl.Categorical, [10.0, 20.0]),
        (["20", "10"], pl.Enum(["20", "10"]), [20.0, 10.0]),
        ([b"1.5"], pl.Binary, [1.5]),
        ([True, None], pl.Boolean, [1.0, None]),
        ([0.1, 0.7], pl.Float32, [0.1, 0.7]),
    ],
)
def test_numbers_of_every_type(values: list, dtype: pl.DataType, expected: list) -> None:
    numbers, bad = numbers_of(pl.Series("c", values, dtype=dtype))
    assert numbers.to_list() == expected
    assert not bad.any()


def test_what_is_no_number_is_marked() -> None:
    _, bad = numbers_of(pl.Series(["1", "abc", "1_0", "1,5", None]))
    assert bad.to_list() == [False, True, True, True, False]
    with pytest.raises(DataError, match="expected numbers, got List"):
        numbers_of(pl.Series([[1.0]]))


def test_numbers_are_read_from_text_and_must_be_finite() -> None:
    cells = number_cells(pl.Series("x", ["1", " 2.5 ", "abc", None, "inf"]))
    assert cells.values.to_list()[:2] == [1.0, 2.5]
    assert cells.bad.to_list() == [False, False, True, False, True]
    assert cells.expected == "a finite number"
    assert number_cells(pl.Series("x", [1, None])).values.to_list() == [1.0, None]
    assert floats_of(cells.values.head(2)).tolist() == [1.0, 2.5]


def test_ids_are_cells_of_which_no_fraction_is_good() -> None:
    cells = id_cells(pl.Series([2.0, 0.5]))
    assert cells.bad.to_list() == [False, True]
    assert none_bad(2).to_list() == [False, False]


def test_a_whole_column_of_ids_has_one_type() -> None:
    assert to_ids("id", pl.Series("id", ["1", "2"])).dtype == pl.Int64
    assert to_ids("id", pl.Series("id", ["1", "b"])).to_list() == ["1", "b"]
    with pytest.raises(DataError, match=r"column 'id': expected an id.*got 2\.5 in row 1"):
        to_ids("id", pl.Series("id", [1.0, 2.5]))
    with pytest.raises(DataError, match=r"column 'id': expected single values .* got Struct"):
        to_ids("id", pl.Series("\0raw:id", [{"a": 1}]))
