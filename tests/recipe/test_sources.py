"""The `sources` section."""

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.sources import kinds_of

RETRIEVER = """
schema: {columns: {film: categorical, mood: categorical}}
model: {item: [film]}
retrieval: {item: film}
"""


def recipe(sources: str) -> Recipe:
    return parse_recipe(f"{RETRIEVER}\nsources: {sources}")


def test_a_number_is_a_quota_and_other_keys_are_options() -> None:
    made = recipe("{two_tower: 100, trending: {kind: popular, quota: 20, window: 7d}}")
    assert made.sources is not None
    assert [source.quota for source in made.sources.values()] == [100, 20]
    assert made.sources["trending"].options == {"window": "7d"}
    assert kinds_of(made.sources) == {"two_tower": "two_tower", "trending": "popular"}
    assert parse_recipe(made.to_yaml()) == made


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ("{popular: 0}", "sources.popular.quota: expected a number greater than or equal to 1"),
        ("{popular: 2.5}", "sources.popular.quota"),
        ("{popular: {segment: true}}", "sources.popular.quota: missing"),
        ("{popular: true}", "sources.popular.quota"),
        ("{popular: many}", "sources.popular"),
        ("{}", "sources"),
        ("[popular]", "sources"),
        ("{'a b': 3}", "sources"),
    ],
)
def test_wrong_sections_are_refused(sources: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe(sources)


def test_a_ranker_has_no_sources() -> None:
    words = "sources: not allowed without a retrieval section"
    with pytest.raises(RecipeError, match=words):
        parse_recipe("{schema: {columns: {a: categorical}, tasks: {b: binary}}, sources: {new: 5}}")
