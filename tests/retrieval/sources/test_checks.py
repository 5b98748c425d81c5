"""Sources that a recipe cannot have are refused before any row is read."""

from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.sources.checks import check_quotas, check_sources


def recipe(sources: dict[str, Any], **section: Any) -> Recipe:
    plain = {
        "schema": {"columns": {"film": "categorical", "mood": "categorical"}},
        "model": {"item": ["film"]},
        "retrieval": {"item": "film", "user": "user", **section},
        "sources": sources,
    }
    return Recipe.model_validate(plain)


@pytest.mark.parametrize(
    ("sources", "section", "words"),
    [
        ({"item_knm": 5}, {}, "sources.item_knm: no source 'item_knm'; did you mean 'item_knn'"),
        ({"new": {"kind": "fresh", "quota": 5}}, {}, "sources.new.kind: no source 'fresh'"),
        ({"ease": {"quota": 5, "l": 1}}, {}, "sources.ease.l: unknown key.*allowed: neighbours"),
        ({"item_knn": {"quota": 5, "shrink": -1}}, {}, "sources.item_knn.shrink"),
        ({"item_knn": 5}, {"user": None}, "sources.item_knn: needs users"),
        ({"repeat": 5}, {}, "sources.repeat: retrieval.exclude_seen leaves out"),
        (
            {"two_tower": 5, "again": {"kind": "two_tower", "quota": 5}},
            {},
            "two_tower and again are both the retrieval model",
        ),
        ({"popular": {"quota": 5, "window": "soon"}}, {}, "sources.popular.window: expected"),
    ],
)
def test_wrong_sources_are_named(
    sources: dict[str, Any], section: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        check_sources(recipe(sources, **section))


def test_a_quota_beyond_the_catalogue_is_refused() -> None:
    made = recipe({"two_tower": 20, "popular": 31})
    check_sources(made)
    check_quotas(made, 31)
    words = "sources.popular.quota: 31 is beyond the catalogue of 30 items; expected 1 to 30"
    with pytest.raises(RecipeError, match=words):
        check_quotas(made, 30)


def test_without_sources_nothing_is_checked() -> None:
    plain = recipe({"popular": 3}).model_copy(update={"sources": None})
    check_sources(plain)
    check_quotas(plain, 1)
