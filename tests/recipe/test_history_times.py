"""Which recipes may read the times of a history."""

import re
from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.history_times import timed_history
from crosstower.recipe.recipe import Recipe

BY_TIME = {"kind": "leave_last_out", "group": "user", "time": "time"}


def retrieval(had: dict[str, Any], *, split: Any = BY_TIME, **section: Any) -> Recipe:
    sequence = {"kind": "sequence", "table": "item", "pooling": "hstu"} | had
    return Recipe.model_validate(
        {
            "name": "films",
            "data": {"split": split},
            "schema": {"columns": {"item": "categorical", "had": sequence}},
            "model": {"name": "two_tower", "item": ["item"]},
            "retrieval": {"item": "item", "user": "user", "history": "had"} | section,
        }
    )


def test_the_history_of_a_retriever_has_the_times_of_its_rows() -> None:
    recipe = retrieval({"times": True})
    assert timed_history(recipe.schema_, "had")
    assert not timed_history(retrieval({}).schema_, "had")
    assert not timed_history(recipe.schema_, None)
    assert retrieval({"times": True}, split={"kind": "random"}, time="when").retrieval is not None
    assert Recipe.model_validate(yaml_of(recipe)) == recipe


def yaml_of(recipe: Recipe) -> Any:
    import yaml

    return yaml.safe_load(recipe.to_yaml())


@pytest.mark.parametrize(
    ("had", "more", "words"),
    [
        (
            {"times": True, "pooling": "bsarec"},
            {},
            "times: not read by pooling bsarec; set pooling",
        ),
        ({"times": True, "pooling": "mean"}, {}, "times: not read by pooling mean"),
        ({"times": "whens"}, {}, "retrieval.history fills the column from the rows of the user"),
        ({"times": True}, {"history": None}, "set retrieval.history: had, or remove times"),
        (
            {"times": True},
            {"split": {"kind": "random"}},
            "schema.columns.had.times: the rows have no time; set retrieval.time",
        ),
    ],
)
def test_other_times_are_refused(had: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with pytest.raises((RecipeError, ValueError), match=re.escape(words)):
        retrieval(had, **more)
