"""Kinds of sources by name."""

import pytest

from crosstower.errors import RecipeError
from crosstower.retrieval.sources.ease import EaseOptions
from crosstower.retrieval.sources.registry import (
    SOURCES,
    options_of,
    register_source,
    source_kinds,
)
from crosstower.retrieval.sources.repeat import RepeatSource

from .test_checks import recipe


def test_options_are_those_of_the_kind() -> None:
    made = recipe({"mine": {"kind": "ease", "quota": 4, "l2": 9.0}, "popular": 2})
    assert options_of(made)["mine"] == EaseOptions(l2=9.0)
    assert [kind.__name__ for kind in source_kinds(made).values()] == [
        "EaseSource",
        "PopularSource",
    ]


def test_built_in_kinds_are_known() -> None:
    names = "ease fixed item_knn popular recent repeat transition_graph two_tower"
    assert set(names.split()) <= set(SOURCES.names())


def test_a_name_is_taken_once() -> None:
    class Again(RepeatSource):
        pass

    with pytest.raises(RecipeError, match=r"source 'repeat': .* has registered this name"):
        register_source("repeat")(Again)
