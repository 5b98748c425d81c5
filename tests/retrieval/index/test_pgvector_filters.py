"""Conditions in SQL, compared with polars on a real PostgreSQL."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError
from crosstower.retrieval.index.pgvector import PgvectorIndex
from crosstower.retrieval.index.pgvector_filters import Column, columns_of, sql_filter
from crosstower.retrieval.index.pgvector_session import URL

N = 120
RANDOM = np.random.default_rng(0)
ATTRIBUTES = pl.DataFrame(
    {
        "city": [["Paris", "Rome", 'O\'Hare "%s"', "7", None][i % 5] for i in range(N)],
        'odd "name"; --': [f"t{i % 4}" for i in range(N)],
        "price": [None if i % 9 == 0 else float("nan") if i % 10 == 0 else i / 2 for i in range(N)],
        "rate": pl.Series([i / 10 for i in range(N)], dtype=pl.Float32),
        "stars": [None if i % 7 == 0 else i % 6 for i in range(N)],
        "views": pl.Series([2**63 + i for i in range(N)], dtype=pl.UInt64),
        "pool": [None if i % 11 == 0 else i % 2 == 0 for i in range(N)],
        "tags": [None if i % 8 == 0 else ["a", None, "b"][: i % 4] for i in range(N)],
        "sizes": [[i % 5, i % 3] for i in range(N)],
        "day": [date(2026, 1, 1 + i % 28) for i in range(N)],
        "seen": [None if i % 13 == 0 else datetime(2026, 1, 1, i % 24) for i in range(N)],
        "kind": pl.Series([["x", "y"][i % 2] for i in range(N)], dtype=pl.Categorical),
        "latitude": [48.0 + i / 100 for i in range(N)],
        "longitude": [2.0 + i / 100 for i in range(N)],
    },
    schema_overrides={"tags": pl.List(pl.String)},
    strict=False,
)
FILTERS = [
    "city == 'Paris' and price < 20",
    "not (city == 'Paris')",
    "city == 'O\\'Hare \"%s\"'",
    "city == '7' or city > 'Q'",
    "'Q' <= city",
    "not (price > 20 or city != 'Rome')",
    "price != 3.5",
    "not (5 < price <= 45) and pool",
    "rate == 0.3 or rate > 11.5",
    "rate in [0.1, 0.2]",
    "stars == 3 or stars > 4.5",
    "stars in [1, 2.0]",
    "stars not in [1]",
    "stars < 18446744073709551615",
    "views >= 9223372036854775900",
    "views in [9223372036854775810]",
    "pool == false",
    "not pool",
    "pool in [true]",
    "'a' in tags and 'b' not in tags",
    "'b' not in tags",
    "3 in sizes",
    "2.0 not in sizes",
    "city in ['Rome', 'Oslo'] or not pool",
    "city not in ['Rome']",
    "city in [] or not (stars in [])",
    "day >= '2026-01-20'",
    "day in ['2026-01-02', '2026-01-03T00:00:00Z']",
    "seen < '2026-01-01T05:00:00+01:00'",
    "kind == 'x' and kind < 'y'",
    "price < stars or stars == longitude",
    "not (price >= latitude)",
    "distance_km(latitude, longitude, 48.5, 2.5) < 20",
]


@pytest.fixture
def index(postgres: str, monkeypatch: pytest.MonkeyPatch) -> PgvectorIndex:
    monkeypatch.setenv(URL, postgres)
    return PgvectorIndex.build(range(N), np.eye(N), ATTRIBUTES)


def test_conditions_mean_in_sql_what_they_mean_in_polars(index: PgvectorIndex) -> None:
    query, kinds = np.arange(N)[None] + 1.0, dict(ATTRIBUTES.schema)
    for where in FILTERS:
        expected = ATTRIBUTES.select(parse_filter(where, kinds, strict=True).alias("fits"))["fits"]
        found = index.search(query, N, where=where).ids(0).sort()
        assert found.to_list() == expected.arg_true().to_list(), where
        assert 0 < len(found) < N or where.startswith("stars < 18"), where
    index.close()


def test_names_and_values_are_never_sql() -> None:
    columns = {'a"; DROP TABLE x': ("a0", Column(name='a"; DROP TABLE x', kind="text"))}
    with pytest.raises(QueryError, match="no column 'b'"):
        sql_filter("b == 1", columns)
    text, values = sql_filter(
        "city == 'x\\' OR 1=1 --'", {"city": ("a0", Column(name="city", kind="text"))}
    )
    assert text == "(a0 = ANY(%s::text[]))"
    assert values == [["x' OR 1=1 --"]]


def test_what_sql_cannot_compare_is_refused() -> None:
    text = {name: (name, Column(name=name, kind="text")) for name in ("a", "b")}
    with pytest.raises(QueryError, match="cannot compare two columns of text"):
        sql_filter("a == b", text)
    with pytest.raises(QueryError, match="null character"):
        sql_filter("a == 'x\\0'", text)
    with pytest.raises(QueryError, match=r"column 'deep' holds List\(List.*drop the column"):
        columns_of(pl.DataFrame({"deep": [[[1]]]}))
    with pytest.raises(QueryError, match="column 'a' holds String, got 3"):
        sql_filter("a == 3", text)


def test_types_of_columns() -> None:
    found = {c.name: c.sql_type for c in columns_of(ATTRIBUTES)}
    assert found == {
        "city": "text", 'odd "name"; --': "text", "price": "float8", "rate": "float4",
        "stars": "int8", "views": "numeric", "pool": "bool", "tags": "text[]", "sizes": "int8[]",
        "day": "numeric", "seen": "numeric", "kind": "text", "latitude": "float8",
        "longitude": "float8",
    }  # fmt: skip
