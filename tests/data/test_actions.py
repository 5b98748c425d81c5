import polars as pl
import pytest

from crosstower.data.actions import actions_of, item_columns_of
from crosstower.errors import DataError


def log() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item": [3, 1, 3, 1, 2, 2],
            "user": [1, 1, 2, 2, 1, 2],
            "genre": ["a", None, "a", None, "a", "a"],
            "tags": [["x", "y"], [], ["x", "y"], [], ["z"], ["z"]],
            "vector": pl.Series([[1, 2], [0, 0]] * 2 + [[1, 2]] * 2, dtype=pl.Array(pl.Int8, 2)),
            "country": ["fr"] * 6,
            "order": [["x"], ["x"], ["x", "y"], ["x"], ["z"], ["z"]],
        }
    )


def test_columns_of_one_value_an_action_are_found_whatever_their_type() -> None:
    columns = log().columns
    assert item_columns_of(log(), "item", columns) == ["genre", "tags", "vector"]
    assert item_columns_of(log(), "item", ["user", "country"]) == []


def test_each_action_comes_once_with_what_follows_from_it() -> None:
    found = actions_of(log(), "item", ["tags", "item", "genre"])
    expected = {"item": [3, 1, 2], "tags": [["x", "y"], [], ["z"]], "genre": ["a", None, "a"]}
    assert found.to_dict(as_series=False) == expected
    assert actions_of(log(), "item", []).columns == ["item"]


def test_one_row_an_action_cannot_tell() -> None:
    with pytest.raises(DataError, match=r"3 actions in 5 rows are too few .* --item-column"):
        item_columns_of(log().head(5), "item", ["genre"])
    assert item_columns_of(log().head(5), "item", ["user"]) == []  # nothing to be mistaken


@pytest.mark.parametrize("name", ["user", "order"])
def test_a_column_of_the_row_does_not_follow(name: str) -> None:
    with pytest.raises(DataError, match=f"item column '{name}': .* got several for item 3;"):
        actions_of(log(), "item", [name])


def test_a_row_without_an_action_is_named() -> None:
    rows = log().with_columns(item=pl.Series([1, None, 1, 1, None, 2]))
    with pytest.raises(DataError, match="'item': 2 of 6 rows have no action"):
        actions_of(rows, "item", [])
