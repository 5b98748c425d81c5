import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from crosstower.data.sources.frames import frame_of, from_arrow, series_of
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError

KEY = uuid.UUID("7810106d-e6cc-483a-b619-094a6cbf592e")
DAY = dt.date(2024, 1, 31)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([b"ab", b"\xff\x00"], pa.binary(2)), ["6162", "ff00"]),
        (pa.array([b"ab", None], pa.binary(2)).dictionary_encode(), ["6162", None]),
        (pa.array([Decimal("7.50")], pa.decimal256(50, 2)), ["7.50"]),
        (pa.array([3, 4]).dictionary_encode(), [3, 4]),
        (pa.array(["a"], pa.large_string()).dictionary_encode(), ["a"]),
        (pa.array([KEY.bytes, None], pa.uuid()), [str(KEY), None]),
        (pa.array([[1], None, [2, 3]], pa.list_view(pa.int64())), [[1], None, [2, 3]]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], [5, 6]), [5, 5, 6]),
        (pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(["x"])), ["x"]),
        (pa.array([0, None], pa.timestamp("ms", "+05:30")), [EPOCH, None]),
        (pa.array([0], pa.timestamp("ns", "-03:00")), [EPOCH]),
    ],
)
def test_arrow_types_that_polars_lacks_are_read(array: Any, expected: list) -> None:
    assert from_arrow(pa.table({"c": array}))["c"].to_list() == expected
    assert frame_of(pa.table({"c": pa.chunked_array([array])}))["c"].to_list() == expected


def test_an_arrow_type_without_single_values_is_refused() -> None:
    table = pa.table({"c": pa.array([pa.MonthDayNano([1, 2, 3])])})
    with pytest.raises(DataError, match="column 'c': holds month_day_nano_interval, which cannot"):
        frame_of(table)


def test_parquet_keys_of_one_width_are_read_in_hexadecimal(tmp_path: Path) -> None:
    table = pa.table({"c": pa.array([b"\x00\xff", b"ab"], pa.binary(2))})
    parquet.write_table(table, tmp_path / "rows.parquet")
    (chunk,) = open_source(tmp_path / "rows.parquet").chunks(["c"])
    assert chunk.frame["c"].to_list() == ["00ff", "6162"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, "a", None], ["1", "a", None]),
        ([1, 2.5], [1.0, 2.5]),
        ([2**60 + 1, 2.5], [str(2**60 + 1), "2.5"]),
        ([True, 1], ["true", "1"]),
        ([True, None], [True, None]),
        (["a", 1.0, 7.5], ["a", "1", "7.5"]),
        ([Decimal(1), 2], ["1", "2"]),
        ([DAY, None], [DAY, None]),
        ([DAY, dt.datetime(2024, 1, 31, 5)], ["2024-01-31", "2024-01-31T05:00:00"]),
        ([b"a", "b"], ["a", "b"]),
        ([KEY], [str(KEY)]),
        ([np.int64(3), 4], [3, 4]),
        ([float("nan"), "a"], [None, "a"]),
        ([pd.NA, "a", pd.NaT], [None, "a", None]),
        ([[1], ["a", 2.0], None], [["1"], ["a", "2"], None]),
        ([np.array([1, 2]), (3,)], [[1, 2], [3]]),
        ([2**70, 1], [str(2**70), "1"]),
        ([None, None], [None, None]),
    ],
)
def test_columns_of_python_objects_of_any_mix(values: list, expected: list) -> None:
    assert series_of("c", values).to_list() == expected
    frame = pd.DataFrame({"c": pd.Series(values, dtype=object)})
    assert frame_of(frame)["c"].to_list() == expected
    objects = pl.DataFrame({"c": pl.Series([None] * len(values), dtype=pl.Int8)})
    assert (
        frame_of(objects.with_columns(pl.Series("c", values, dtype=pl.Object)))["c"].to_list()
        == series_of("c", values).to_list()
    )


@pytest.mark.parametrize("value", [{"a": 1}, pd.Period("2024-01"), object(), 1j])
def test_a_value_without_a_type_is_refused_with_its_row(value: object) -> None:
    frame = pd.DataFrame({"c": pd.Series([7, value], dtype=object)})
    with pytest.raises(DataError, match=r"column 'c': .* cannot be read \(row 1\)"):
        frame_of(frame)
    with pytest.raises(DataError, match=r"column 'c': 7 of type int .*where other rows hold lists"):
        series_of("c", [[1], 7])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([3, None], dtype="category"), [3, None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Series([1, "a", None], dtype="category"), ["1", "a", None]),
        (pd.Series(pd.period_range("2024-01-01", periods=2)), ["2024-01-01", "2024-01-02"]),
        (pd.cut(pd.Series([1, 2]), [0, 1, 2]), ["(0, 1]", "(1, 2]"]),
        (pd.Series([1, 0], dtype="Sparse[int]"), [1, 0]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series([1.0, None]), [1.0, None]),
        (pd.Series([1, 2], index=[5, 5]), [1, 2]),
    ],
)
def test_columns_of_pandas(column: Any, expected: list) -> None:
    assert frame_of(pd.DataFrame({"c": column}))["c"].to_list() == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))]
)
def test_pandas_times_of_a_zone_keep_their_instants(zone: str | dt.tzinfo, unit: Any) -> None:
    times = pd.Series(pd.to_datetime([EPOCH, None]), index=[4, 4]).dt.tz_convert(zone)
    for column in (times.dt.as_unit(unit), times.dt.as_unit(unit).astype("category")):
        assert frame_of(column.to_frame("c"))["c"].to_list() == [EPOCH, None]


def test_a_named_index_of_pandas_is_a_column() -> None:
    plain = pd.DataFrame({"user": ["b", "a"], "day": [2, 1], "x": [0.5, 1.5]})
    assert frame_of(plain[plain["x"] > 1]).columns == ["user", "day", "x"]  # an unnamed index
    for names in (["user"], ["user", "day"]):
        assert frame_of(plain.set_index(names)).rows() == [("b", 2, 0.5), ("a", 1, 1.5)]
    beside = plain.set_index("user", drop=False)
    assert frame_of(beside).columns == ["user", "day", "x"]
    unnamed = plain.set_index([[7, 8], pd.Index([3, 4], name="who")])
    assert frame_of(unnamed).rows() == [(3, "b", 2, 0.5), (4, "a", 1, 1.5)]


@pytest.mark.parametrize(
    ("index", "columns", "expected"),
    [
        (pd.MultiIndex.from_tuples([(1, 2)], names=["a", "a"]), ["x"], {"a": [1], "x": [0.5]}),
        (pd.Index(["u"], name="1"), [1], {"1": [0.5]}),
        (pd.Index([7], name="u"), pd.MultiIndex.from_tuples([("x", "y")]), {"u": [7]}),
        (pd.Index([1j], name="z"), ["x"], {"x": [0.5]}),
    ],
)
def test_any_named_index_of_pandas_can_be_read(
    index: Any, columns: Any, expected: dict[str, list[Any]]
) -> None:
    found = frame_of(pd.DataFrame([[0.5]], index=index, columns=columns)).to_dict(as_series=False)
    assert {name: found[name] for name in expected} == expected
    assert "z" not in found


def test_pandas_numbers_without_a_type_are_refused() -> None:
    with pytest.raises(DataError, match="column 'c': holds complex128 of pandas"):
        frame_of(pd.DataFrame({"c": pd.Series([1j])}))
