"""Counters of a recipe need events and the times of rows, and a ranker."""

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.counter_checks import require_events, time_columns
from crosstower.recipe.loading import parse_recipe

COUNTER = "n: {kind: counter, event: click, by: item_id, window: 7d}"
TASKS = "tasks: {click: binary}"


def test_events_that_nothing_counts_are_refused() -> None:
    for data in ("events: log.csv", "time: at"):
        with pytest.raises(RecipeError, match="not used, as no column reads events; add a column"):
            parse_recipe(f"data: {{{data}}}\nschema: {{columns: {{a: categorical}}, {TASKS}}}")


def test_a_retriever_has_no_counters() -> None:
    text = f"""
      data: {{events: log.csv, time: at}}
      schema: {{columns: {{item_id: categorical, user_id: categorical, {COUNTER}}}}}
      retrieval: {{item: item_id, user: user_id}}
    """
    with pytest.raises(RecipeError, match=r"schema\.columns\.n: events change with time"):
        parse_recipe(text)


@pytest.mark.parametrize(
    ("data", "time"),
    [
        ("time: at", "at"),
        ("split: {kind: time, column: day}", "day"),
        ("split: {kind: leave_last_out, group: user, time: day}", "day"),
        ("time: at, split: {kind: time, column: day}", "at"),
    ],
)
def test_the_time_of_a_row_is_that_of_the_split_unless_named(data: str, time: str) -> None:
    recipe = parse_recipe(
        f"data: {{events: log.csv, {data}}}\nschema: {{columns: {{{COUNTER}}}, {TASKS}}}"
    )
    assert require_events(recipe.schema_, recipe.data) == time


def test_what_is_missing_is_named() -> None:
    recipe = parse_recipe(f"schema: {{columns: {{{COUNTER}}}, {TASKS}}}")
    with pytest.raises(RecipeError, match=r"data\.events: missing, but column 'n' reads events"):
        require_events(recipe.schema_, recipe.data)
    given = parse_recipe(f"data: {{events: rows}}\nschema: {{columns: {{{COUNTER}}}, {TASKS}}}")
    with pytest.raises(RecipeError, match=r"data\.time: missing, but column 'n' reads the events"):
        require_events(given.schema_, given.data)


def test_time_columns_are_those_of_rows_and_logs() -> None:
    recipe = parse_recipe(
        "data: {time: at, events: [rows, {path: log.csv, time: when}]}\n"
        f"schema: {{columns: {{{COUNTER}}}, {TASKS}}}"
    )
    assert time_columns(recipe.schema_, recipe.data) == ["at", "when"]


def test_a_history_of_events_needs_them_and_a_ranker() -> None:
    columns = "item: categorical, h: {kind: sequence, table: item, event: click, by: user}"
    recipe = parse_recipe(f"schema: {{columns: {{{columns}}}, {TASKS}}}")
    with pytest.raises(RecipeError, match=r"data\.events: missing, but column 'h' reads events"):
        require_events(recipe.schema_, recipe.data)
    text = f"""
      data: {{events: log.csv, time: at}}
      schema: {{columns: {{user: categorical, {columns}}}}}
      retrieval: {{item: item, user: user, history: h}}
    """
    with pytest.raises(RecipeError, match=r"columns\.h: .* use .* retrieval\.history for the user"):
        parse_recipe(text)
