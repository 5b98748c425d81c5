from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList
from crosstower.recipe.recipe import Recipe
from crosstower.serving.retraining.label_columns import (
    absent_notes,
    label_columns,
    lost_notes,
    positive_types,
)
from crosstower.serving.retraining.plan import Label, Labels


def ranking(**tasks: Any) -> Recipe:
    return Recipe.model_validate({"schema": {"columns": {"u": "categorical"}, "tasks": tasks}})


def retrieval(**section: Any) -> Recipe:
    columns = {"u": "categorical", "i": "categorical"}
    plain = {"item": "i", "user": "u", **section}
    return Recipe.model_validate(
        {"schema": {"columns": columns}, "model": {"item": ["i"]}, "retrieval": plain}
    )


def test_each_task_has_the_events_of_its_name() -> None:
    recipe = ranking(
        click="binary",
        stars={"kind": "rating", "column": "rating"},
        seconds="regression",
        good={"kind": "binary", "column": "stars", "threshold": 4},
    )
    assert label_columns(recipe, None, Labels()) == {
        "click": Label(event="click"),
        "rating": Label(event="stars", value=True),
        "seconds": Label(event="seconds", value=True),
        "stars": Label(event="good", value=True),
    }


def test_the_plan_replaces_events_and_may_name_those_of_where() -> None:
    labels = Labels(tasks={"click": {"event": "tap", "window": "1h"}, "liked": "like"})
    found = label_columns(ranking(click="binary"), retrieval(where="liked == 1"), labels)
    assert found == {"click": Label(event="tap", window=3_600), "liked": Label(event="like")}


def test_a_column_that_no_recipe_reads_is_an_error() -> None:
    match = "labels.tasks.clck: no task .* did you mean 'click'.; they read: click, liked"
    with pytest.raises(RecipeError, match=match):
        label_columns(
            ranking(click="binary"), retrieval(where="liked == 1"), Labels(tasks={"clck": "x"})
        )


def test_labels_that_events_cannot_give_are_an_error() -> None:
    recipe = ranking(click={"kind": "binary", "positive": "yes"})
    with pytest.raises(RecipeError, match="task 'click': its positive label is 'yes'"):
        label_columns(recipe, None, Labels())
    assert label_columns(ranking(click={"kind": "binary", "positive": 1}), None, Labels())


def test_positives_are_told_by_where_or_by_types_of_events() -> None:
    history = {"events": ["click", "buy"]}
    assert positive_types(None, Labels()) == ()
    assert positive_types(retrieval(where="click == 1", history=history), Labels()) == ()
    assert positive_types(retrieval(history=history), Labels()) == ("click", "buy")
    assert positive_types(retrieval(history=history), Labels(positives=["buy"])) == ("buy",)
    with pytest.raises(RecipeError, match=r"labels.positives: missing"):
        positive_types(retrieval(), Labels())
    with pytest.raises(RecipeError, match=r"labels.positives: the retrieval recipe has where"):
        positive_types(retrieval(where="click == 1"), Labels(positives=["buy"]))


def test_events_that_a_new_version_forgets_are_named() -> None:
    recipe = retrieval(where="click == 1", history={"events": ["click", "buy"]})
    (note,) = lost_notes(recipe, {"click": Label(event="click")}, ())
    assert note.startswith(
        "events of type 'buy' extend the histories of a server, but label nothing"
    )
    assert lost_notes(recipe, {"click": Label(event="click")}, ("buy",)) == ()
    assert lost_notes(None, {}, ()) == ()


def test_types_that_the_ranker_reads_but_nobody_sends_are_named() -> None:
    read = [
        EventCount(("liked", "click"), ("film",), 1),
        EventList("had", ("liked",), ("user",), "film", 5),
    ]
    tasks = {"liked": Label(event="like")}
    (note,) = absent_notes(read, tasks, ["click", "like"])
    assert note == (
        "the server has no events of type 'liked', which counters or histories of the ranker read;"
        " send events of that type (the label 'liked' comes from type 'like')"
    )
    assert absent_notes(read, tasks, ["click", "liked"]) == ()
    assert absent_notes([], tasks, []) == ()
