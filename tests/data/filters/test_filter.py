import contextlib
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError

ITEMS = pl.DataFrame(
    {
        "city": ["Paris", "Rome", "Paris", None],
        "price": [99.0, 80.0, 200.0, 50.0],
        "beds": [1, 2, 3, 4],
        "pool": [True, False, None, True],
        "amenities": [["wifi"], [], ["wifi", "pool"], None],
    }
)
COLUMNS = dict(ITEMS.schema)


def rows(text: str) -> list[int]:
    fits = ITEMS.select(parse_filter(text, COLUMNS).alias("fits"))["fits"]
    return [i for i, fit in enumerate(fits) if fit]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('city == "Paris" and price < 120', [0]),
        ("city == 'Rome' or beds >= 3", [1, 2, 3]),
        ("not (city == 'Paris')", [1]),
        ("city != 'Paris'", [1]),
        ("50 < price <= 99", [0, 1]),
        ("price > -1", [0, 1, 2, 3]),
        ("beds in [1, 4]", [0, 3]),
        ("city not in ['Rome']", [0, 2]),
        ("'wifi' in amenities", [0, 2]),
        ("'wifi' not in amenities", [1]),
        ("pool", [0, 3]),
        ("pool == true and beds == 1", [0]),
        ("pool == False", [1]),
        ("price == 80", [1]),
        ("beds < price", [0, 1, 2, 3]),
        ("  city == 'Paris'  ", [0, 2]),
    ],
)
def test_conditions(text: str, expected: list[int]) -> None:
    assert rows(text) == expected


@given(
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from([50, 80, 99.0, 150, -3])
)
def test_comparisons_agree_with_python(sign: str, value: float) -> None:
    expected = [i for i, p in enumerate(ITEMS["price"]) if eval(f"{p} {sign} {value}")]
    assert rows(f"price {sign} {value}") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "invalid syntax"),
        ("price <", "invalid syntax at its end"),
        ("town == 'Paris'", "no column 'town'; the items have: city, price"),
        ("citi == 'Paris'", "no column 'citi'; did you mean 'city'"),
        ("price == 'cheap'", "column 'price' holds Float64, got 'cheap'"),
        ("beds in ['a']", "column 'beds' holds Int64, got 'a'"),
        ("pool == 2", "column 'pool' holds Boolean, got 2"),
        ("pool == 'yes'", "column 'pool' holds Boolean, got 'yes'"),
        ("beds == pool_days", "no column 'pool_days'"),
        ("'a' in city", r"needs a list such as \['a', 'b'\], or a column of lists"),
        ("city", "column 'city' is not a condition; compare it with a value"),
        ("1 < 2", "a comparison needs a column on one side"),
        ("price < 100 + 20", r"'100 \+ 20' is not a value; allowed: =="),
        ("price is 3", "'is' is not allowed"),
        ("city = 'Paris'", "invalid syntax"),
    ],
)
def test_a_wrong_filter_is_explained(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        parse_filter(text, COLUMNS)


MANY = pl.DataFrame(
    {
        "War": [True, False, None],
        "small": pl.Series([1, 2, None], dtype=pl.Int8),
        "big": pl.Series([2**64 - 1, 2, None], dtype=pl.UInt64),
        "price": pl.Series([1.5, 2.0, None], dtype=pl.Float64),
        "light": pl.Series([0.1, 2.0, None], dtype=pl.Float32),
        "name": ["a", "b", None],
        "codes": pl.Series([[1, 2], [3], None], dtype=pl.List(pl.Int8)),
        "pair": pl.Series([[1, 2], [3, 4], None], dtype=pl.Array(pl.Int64, 2)),
    }
)


def many(text: str) -> list[int]:
    fits = MANY.select(parse_filter(text, dict(MANY.schema)).alias("fits"))["fits"]
    return [i for i, fit in enumerate(fits) if fit]


ATOMS = st.sampled_from(
    [
        "War",
        "small",
        "price",
        "name",
        "codes",
        "1",
        "-1",
        "1.5",
        "'a'",
        "true",
        "[1]",
        "[]",
        "1e308",
    ]
)
GLUE = st.sampled_from(
    [" and ", " or ", " not ", "<", "==", " in ", " not in ", "(", ")", ",", "[", "-", "~", " is "]
)


@given(st.lists(st.one_of(ATOMS, GLUE, st.text(max_size=3)), max_size=25).map("".join))
def test_any_text_is_a_condition_or_a_query_error(text: str) -> None:
    with contextlib.suppress(QueryError):
        assert set(many(text)) <= {0, 1, 2}


DAYS = [datetime(2024, 2, 29, 12), datetime(2024, 3, 1), datetime(2024, 3, 1, 9), None]
KINDS = [pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin"), pl.Datetime("ns", "UTC")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('t >= "2024-03-01"', [1, 2]),
        ('t < "2024-03-01T01:00:00+01:00"', [0]),
        ('"2024-02-29" < t < "2024-03-02"', [0, 1, 2]),
        ('t == "2024/3/1"', [1]),
        ('t in ["2024-03-01 00:00", "1999-01-01"]', [1]),
        ('not t > "2024-03-01"', [0, 1]),
        ('t > "9999-12-31"', []),
        ("t >= other", [1, 2]),
    ],
)
def test_times_of_every_type_compare_with_iso_text(
    where: str, expected: list, kind: pl.Datetime
) -> None:
    times = pl.Series("t", DAYS).dt.replace_time_zone("UTC")
    times = times.dt.convert_time_zone(kind.time_zone or "UTC").dt.cast_time_unit(kind.time_unit)
    times = times if kind.time_zone else times.dt.replace_time_zone(None)
    frame = pl.DataFrame([times, pl.Series("other", [datetime(2024, 3, 1)] * 4)])
    kept = frame.with_row_index().filter(parse_filter(where, dict(frame.schema)))
    assert kept["index"].to_list() == expected


def test_a_date_is_its_first_moment() -> None:
    frame = pl.DataFrame({"t": [date(2024, 2, 29), date(2024, 3, 1), date(9999, 1, 1), None]})
    for where, count in (
        ('t >= "2024-03-01"', 2),
        ('t > "2024-03-01"', 1),
        ('t in ["2024-3-1"]', 1),
    ):
        assert frame.filter(parse_filter(where, dict(frame.schema))).height == count


def test_a_time_is_found_in_a_list_of_times() -> None:
    frame = pl.DataFrame({"t": [[DAYS[0], DAYS[1]], [DAYS[2]], []]})
    kept = frame.filter(parse_filter('"2024-03-01" in t', dict(frame.schema)))
    assert kept.height == 1


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('t >= "2024-03-01"', [1, 2]),
        ('t < "2024-03-01T00:00:00Z"', [0, 3]),
        ('"2024-02-01" <= t <= "2024-03-01"', [0, 1, 3]),
        ('not t >= "2024-03-01"', [0, 3]),
        ('t == "2024-03-01"', [1]),
    ],
)
def test_text_of_a_csv_compares_in_time(where: str, expected: list) -> None:
    texts = ["2024-03-01T00:00:00+02:00", "2024-03-01", "2024-3-10 9:00", "2024-2-9", "soon", None]
    frame = pl.DataFrame({"t": texts})
    kept = frame.with_row_index().filter(parse_filter(where, dict(frame.schema)))
    assert kept["index"].to_list() == expected
