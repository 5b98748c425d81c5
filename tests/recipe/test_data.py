"""Where rows come from: one source that is divided, or files for each part."""

from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.data import Data, Join
from crosstower.recipe.split import GivenSplit, RandomSplit, TimeSplit
from crosstower.recipe.times import TimeFormat
from crosstower.recipe.validation import validate


def data(**plain: Any) -> Data:
    return validate(Data, plain, where="data")


def test_rows_are_divided_at_random_unless_told() -> None:
    assert data(path="rows.csv").split == RandomSplit()
    assert data(split={"kind": "time", "column": "t"}).split == TimeSplit(column="t")


def test_files_for_each_part_leave_nothing_to_divide() -> None:
    given = data(path="a", valid="b", test="c")
    assert given.split == GivenSplit()
    assert data(**given.model_dump()) == given


def test_a_tenth_of_the_training_rows_validates_where_no_rows_do() -> None:
    found = data(path="a", test="c")
    assert found.split == GivenSplit(valid_fraction=0.1)
    assert data(**found.model_dump()) == found
    split = {"kind": "given", "valid_fraction": 0.3, "seed": 4}
    assert data(path="a", test="c", split=split).split == GivenSplit(valid_fraction=0.3, seed=4)


def test_without_test_rows_nothing_is_tested() -> None:
    found = data(path="a", valid="b")
    assert found.split == GivenSplit(test=False)
    assert data(**found.model_dump()) == found


def test_a_format_alone_is_short_for_a_time_format() -> None:
    found = data(path="a", times={"ts": "%d.%m.%Y"}).times
    assert found == {"ts": TimeFormat(format="%d.%m.%Y")}


def test_joined_tables_keep_their_order() -> None:
    joins = [{"path": "u.csv", "on": "user"}, {"path": "i.csv", "on": "item"}]
    assert data(path="a", joins=joins).joins == (
        Join(path="u.csv", on="user"),
        Join(path="i.csv", on="item"),
    )


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (
            {"path": "a", "valid": "b", "split": {"kind": "given", "valid_fraction": 0.2}},
            "split.valid_fraction: 0.2 is set, but validation rows are given",
        ),
        ({"path": "a", "valid": "b", "test": "b"}, "'b' is repeated"),
        ({"path": "a", "valid": "b", "test": "c", "split": {"kind": "random"}}, "drop data.split"),
        ({"path": "world:rentals", "valid": "b", "test": "c"}, "drop both and use data.split"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(plain: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        data(**plain)


def test_the_runner_of_daft_needs_daft() -> None:
    assert data(path="a", engine="daft", runner="ray").runner == "ray"
    with pytest.raises(RecipeError, match="runner: allowed only with engine: daft"):
        data(path="a", runner="ray")
