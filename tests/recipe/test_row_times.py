"""A request stands for the time of a row, and for no other time."""

from typing import Any

import pytest

from crosstower.recipe.recipe import Recipe
from crosstower.recipe.row_times import own_time, row_times

HOUR = {"kind": "calendar", "part": "hour", "source": "at"}
MONTH = {"kind": "calendar", "part": "month", "source": "joined"}


def ranking(columns: dict[str, Any], **data: Any) -> Recipe:
    schema = {"columns": {"user": "categorical", **columns}, "tasks": {"click": "binary"}}
    return Recipe.model_validate({"schema": schema, "data": data})


def test_the_time_of_the_rows_is_that_of_the_split_or_named() -> None:
    by_split = ranking({"hour": HOUR, "month": MONTH}, split={"kind": "time", "column": "at"})
    named = ranking({"hour": HOUR, "month": MONTH}, time="at")
    assert row_times(by_split) == row_times(named) == ("at",)
    assert own_time(named) == "at"
    assert row_times(ranking({"hour": HOUR, "month": MONTH})) == ()
    assert row_times(ranking({"hour": HOUR}, split={"kind": "time", "column": "joined"})) == ()


def test_a_time_that_is_a_number_as_well_is_given() -> None:
    both = ranking({"hour": HOUR, "at": "numeric"}, split={"kind": "time", "column": "at"})
    assert row_times(both) == ()


def test_a_retriever_has_a_time_of_its_own() -> None:
    recipe = Recipe.model_validate(
        {
            "schema": {"columns": {"hour": HOUR, "item": "categorical"}},
            "model": {"item": ["item"]},
            "retrieval": {"item": "item", "user": "user", "time": "at"},
        }
    )
    assert row_times(recipe) == ("at",)


def test_a_time_that_nothing_reads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.time: not used, as no column reads events"):
        ranking({"month": MONTH}, time="at")
