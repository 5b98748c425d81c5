from typing import Any

import pytest

from crosstower.data.layout import CodeField, Layout, ListField
from crosstower.errors import RecipeError
from crosstower.fitting.plan.sizes import LIST_LENGTH, sized_layout
from crosstower.recipe.recipe import Recipe

COLUMNS: dict[str, Any] = {
    "user": "categorical",
    "item": {"kind": "categorical", "max_size": 1000},
    "city": {"kind": "categorical", "hash_buckets": 97},
    "tags": {"kind": "bag", "max_len": 4},
    "seen": {"kind": "sequence", "table": "item", "max_len": 20},
    "words": {"kind": "bag"},
}


def recipe(**columns: Any) -> Recipe:
    schema = {"columns": columns or COLUMNS, "tasks": {"click": "binary"}}
    return Recipe.model_validate({"schema": schema})


def sizes(layout: Layout) -> dict[str, int]:
    return {f.name: f.size for f in (*layout.codes, *layout.lists)}


def test_vocabularies_share_the_ids_that_hash_buckets_leave() -> None:
    layout = sized_layout(recipe(), None, ids=4_000_100, list_length=None)
    assert sizes(layout) == {
        "user": 1_000_000,
        "item": 1_003,  # its max_size and the reserved codes
        "city": 100,
        "tags": 1_000_000,
        "seen": 1_003,
        "words": 1_000_000,
    }


def test_lists_have_their_maximum_or_the_length_given() -> None:
    layout = sized_layout(recipe(), None, ids=10**6, list_length=None)
    assert {f.name: f.length for f in layout.lists} == {
        "tags": 4,
        "seen": 20,
        "words": LIST_LENGTH,
    }
    layout = sized_layout(recipe(), None, ids=10**6, list_length=3)
    assert {f.length for f in layout.lists} == {3}


def test_a_run_keeps_its_sizes_or_grows_in_proportion() -> None:
    known = Layout(
        codes=(CodeField("user", 300, "user"), CodeField("city", 100, "city")),
        numbers=(),
        lists=(ListField("tags", 100, "tags", 7),),
        heads=(),
    )
    columns = {k: COLUMNS[k] for k in ("user", "city", "tags")}
    assert sized_layout(recipe(**columns), known, ids=None, list_length=None) == known
    grown = sized_layout(recipe(**columns), known, ids=4_100, list_length=None)
    assert sizes(grown) == {"user": 3_000, "city": 100, "tags": 1_000}
    assert grown.lists[0].length == 7


def test_unknown_vocabularies_ask_for_a_number_of_ids() -> None:
    match = (
        r"--ids: user, item, tags, words learn their vocabularies.*--ids 1e9, or plan a finished"
    )
    with pytest.raises(RecipeError, match=match):
        sized_layout(recipe(), None, ids=None, list_length=None)


def test_ids_must_fit_the_tables() -> None:
    with pytest.raises(RecipeError, match=r"50 given, but hash buckets .* have 100 rows"):
        sized_layout(recipe(), None, ids=50, list_length=None)
    fixed = recipe(city=COLUMNS["city"])
    with pytest.raises(RecipeError, match="every table has a size in the recipe"):
        sized_layout(fixed, None, ids=5_000, list_length=None)
    assert sizes(sized_layout(fixed, None, ids=None, list_length=None)) == {"city": 100}
