"""Values of requests in the type of a column."""

import datetime as dt

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.values.fitted import fitted


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
        (788_918_400, pl.Date(), dt.date(1995, 1, 1)),
        (788_918_400_250, pl.Datetime("us"), dt.datetime(1995, 1, 1, 0, 0, 0, 250_000)),
        (dt.date(2024, 1, 31), pl.Date(), dt.date(2024, 1, 31)),
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
        ("7.5", pl.Int64()),
        (2**63, pl.Int64()),
        (10**400, pl.Int64()),
        (300, pl.Int8()),
        ([1, 2**63], pl.List(pl.Int64)),
        (2**70, pl.Datetime("us")),
        (1995, pl.Date()),
        (True, pl.Date()),
        (1e300, pl.Date()),
        ([1], pl.Date()),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: object, kind: pl.DataType) -> None:
    with pytest.raises(DataError):
        fitted(value, kind)
