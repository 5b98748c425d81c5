import re
from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.recipe_checks import models_of
from crosstower.recipe.chains import chain_of, with_chain
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Evaluation, Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Regression


def schema(**tasks: Any) -> Schema:
    return Schema.model_validate({"columns": {"user": "categorical"}, "tasks": tasks})


CLICK_CART_BUY = {"buy": Binary(after="cart"), "click": "binary", "cart": Binary(after="click")}


def test_a_chain_follows_what_comes_after_what() -> None:
    assert chain_of(schema(**CLICK_CART_BUY).tasks) == ("click", "cart", "buy")
    assert chain_of(schema(click="binary", buy="binary").tasks) == ()


def test_a_branch_is_no_chain() -> None:
    tasks = schema(click="binary", buy=Binary(after="click"), like=Binary(after="click")).tasks
    with pytest.raises(ValueError, match=r"than one chain .*buy after click, like after click"):
        chain_of(tasks)


def test_a_chain_given_to_a_model_is_declared_in_the_schema() -> None:
    found = with_chain(schema(buy="binary", click="binary", stars="rating"), ["click", "buy"])
    assert found.tasks["buy"] == Binary(after="click")
    assert found.tasks["click"] == Binary()
    assert with_chain(found, ["click", "buy"]) == found


def recipe(tasks: dict[str, Any], chain: Any = None, **options: Any) -> Recipe:
    model = {"name": "esmm"} | ({} if chain is None else {"chain": chain})
    return Recipe(schema=schema(**tasks), **({"model": model} | options))


def test_the_recipe_of_a_chain_knows_it() -> None:
    given = recipe({"buy": "binary", "click": "binary"}, ["click", "buy"])
    assert given.schema_.tasks["buy"] == Binary(after="click")
    assert models_of(given)["esmm"]["chain"] == ["click", "buy"]
    assert parse_recipe(given.to_yaml()) == given


def test_without_a_chain_it_is_what_the_schema_says_or_its_order() -> None:
    assert models_of(recipe(CLICK_CART_BUY))["esmm"]["chain"] == ["click", "cart", "buy"]
    plain = recipe({"buy": "binary", "click": "binary", "stars": "rating"})
    assert models_of(plain)["esmm"]["chain"] == ["buy", "click"]
    assert plain.schema_.tasks["click"] == Binary(after="buy")


def test_a_baseline_with_a_chain_declares_it_too() -> None:
    given = recipe(
        {"click": "binary", "buy": "binary"},
        model={"name": "mmoe"},
        evaluation=Evaluation(baselines=("esmm",)),
    )
    assert given.schema_.tasks["buy"] == Binary(after="click")
    assert models_of(given)["esmm"]["chain"] == ["click", "buy"]


def test_models_without_a_chain_leave_tasks_alone() -> None:
    given = recipe({"click": "binary", "buy": "binary"}, model={"name": "mmoe"})
    assert given.schema_.tasks["buy"] == Binary()


@pytest.mark.parametrize(
    ("tasks", "chain", "words"),
    [
        ({"click": "binary"}, ["clik"], "no binary task 'clik'; did you mean 'click'"),
        ({"click": "binary", "stars": "rating"}, ["click", "stars"], "no binary task 'stars'"),
        ({"click": "binary"}, ["click", "click"], "a task is repeated: click, click"),
        (CLICK_CART_BUY, ["click", "buy"], "'buy' follows 'click', but the schema has after: c"),
        (CLICK_CART_BUY, ["buy", "click", "cart"], "tasks form a cycle"),
    ],
)
def test_a_wrong_chain_is_refused_before_rows_are_read(
    tasks: dict[str, Any], chain: list[str], words: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        recipe(tasks, chain)


def test_an_event_comes_after_another_binary_task() -> None:
    for after in ("click", "stars", "clik"):
        with pytest.raises(ValueError, match=f"conditional on '{after}', which is not another bin"):
            schema(click=Binary(after=after), buy="binary", stars="rating")


def test_tasks_come_with_those_that_their_labels_depend_on() -> None:
    whole = schema(**CLICK_CART_BUY, like="binary", seconds=Regression(when="cart"))
    assert list(whole.with_tasks(["seconds"]).tasks) == ["click", "cart", "seconds"]
    assert list(whole.with_tasks(["like"]).tasks) == ["like"]
