import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.values.columns import (
    fitted,
    ids_of,
    matched,
    matched_id,
    no_ids,
    numbers_of,
    settled,
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


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("7", pl.Int64(), 7), (7.0, pl.Int32(), 7), (True, pl.Int8(), 1), (7, pl.String(), "7"),
        (True, pl.String(), "true"), (7.5, pl.String(), "7.5"), ("7.5", pl.Float64(), 7.5),
        ("True", pl.Boolean(), True), (0, pl.Boolean(), False),
        (["1", 2.0], pl.List(pl.Int64), [1, 2]),
        ([1, "a"], pl.List(pl.String), ["1", "a"]), ("a", pl.List(pl.String), ["a"]),
        ("2024-01-31", pl.Date(), dt.date(2024, 1, 31)), (None, pl.Int64(), None),
        ("2024-01-31T05:00", pl.Datetime("ms"), dt.datetime(2024, 1, 31, 5)),
    ],
)  # fmt: skip
def test_a_value_fits_the_type_of_a_column(
    value: object, kind: pl.DataType, expected: object
) -> None:
    assert fitted(value, kind) == expected
    pl.Series([fitted(value, kind)], dtype=kind, strict=True)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", pl.Int64()),
        (7.5, pl.Int64()),
        ("x", pl.Float64()),
        (2, pl.Boolean()),
        ({}, pl.String()),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: object, kind: pl.DataType) -> None:
    with pytest.raises((DataError, TypeError, pl.exceptions.PolarsError)):
        pl.Series([fitted(value, kind)], dtype=kind, strict=True)
