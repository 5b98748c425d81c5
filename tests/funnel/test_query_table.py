import polars as pl
import pytest

from crosstower.data.sources.joins import join
from crosstower.data.sources.source import FrameSource
from crosstower.errors import DataError
from crosstower.funnel.query_table import QueryTable

USERS = pl.DataFrame(
    {"user": [7, None, 3], "country": ["FR", "XX", None], "age": [30, 1, 40]},
    schema_overrides={"user": pl.Int64},
)


def table() -> QueryTable:
    rows = FrameSource(pl.DataFrame(schema=["user"]), "the rows")
    return QueryTable(join(rows, USERS, on="user"))


@pytest.mark.parametrize("key", [7, "7", 7.0])
def test_a_key_is_found_however_it_is_written(key: object) -> None:
    assert table().columns_of(key) == {"country": "FR", "age": 30}


@pytest.mark.parametrize("key", [None, 8, "x"])
def test_columns_of_an_unknown_key_are_missing(key: object) -> None:
    assert table().columns_of(key) == {"country": None, "age": None}


def test_values_may_be_missing_and_a_key_must_be_one() -> None:
    assert table().columns_of(3) == {"country": None, "age": 40}
    with pytest.raises(DataError):
        table().columns_of([1])
