import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.fitting.off_policy.actions import actions_of, item_columns_of, target_chances


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


ACTIONS = pl.Series("item", [3, 1, 2])


def test_chances_stand_at_the_places_of_their_actions() -> None:
    rows = pl.DataFrame({"p": [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], "a": [[2, 3, 1], [1, 2, 3]]})
    assert target_chances(rows, ACTIONS, "p").tolist() == [[0.5, 0.2, 0.3], [0.0, 1.0, 0.0]]
    assert target_chances(rows, ACTIONS, "p", "a").tolist() == [[0.3, 0.5, 0.2], [0.0, 1.0, 0.0]]
    arrays = rows.with_columns(pl.col("p").cast(pl.Array(pl.Float32, 3)))
    found = target_chances(arrays, ACTIONS, "p")
    np.testing.assert_allclose(found, target_chances(rows, ACTIONS, "p"), rtol=1e-6)
    some = pl.DataFrame({"p": [[1.0], [0.4, 0.6, 0.0]], "a": [[2], [1, 2, 9]]})
    assert target_chances(some, ACTIONS, "p", "a").tolist() == [[0.0, 0.0, 1.0], [0.0, 0.4, 0.6]]
    assert target_chances(pl.DataFrame({"p": [0, 1]}), ACTIONS, "p").tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([[0.5, 0.5]], "expected a chance for each of 3 actions, got 2 in row 0"),
        ([[0.5, 0.5, 0.5]], "must sum to 1, got 1.5 in row 0"),
        ([[0.5, -0.5, 1.0]], r"expected chances in \[0, 1\], got -0.5"),
        ([[0.5, None, 0.5]], r"expected chances in \[0, 1\], got nan"),
        ([None], "1 of 1 rows have no chance"),
        ([1.5], r"expected chances in \[0, 1\], got 1.5 and 0 more"),
        (["0.5"], "got String"),
    ],
)
def test_chances_that_are_none_are_named(column: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        target_chances(pl.DataFrame({"p": column}, strict=False), ACTIONS, "p")


def test_an_action_that_the_log_never_took_is_named() -> None:
    rows = pl.DataFrame({"p": [[0.5, 0.5]], "a": [[1, 9]]})
    with pytest.raises(DataError, match="takes action 9, which the log never took"):
        target_chances(rows, ACTIONS, "p", "a")
