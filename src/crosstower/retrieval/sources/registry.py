"""Kinds of sources by name: a new one is a file here with `@register_source`, and one test."""

from __future__ import annotations

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.registry import Registry, itself
from crosstower.recipe.sources import kinds_of
from crosstower.recipe.validation import validate
from crosstower.retrieval.sources.candidate_source import CandidateSource

SOURCES = Registry[type[CandidateSource]]("source", package="crosstower.retrieval.sources")

register_source = SOURCES.decorator(
    "register_source",
    itself,
    doc="""Return a decorator that registers a class, a `CandidateSource`, as a kind of source.

    Args:
        name: value of `kind` in the recipe's `sources`, or the name of a source.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def options_of(recipe: Recipe) -> dict[str, FrozenModel]:
    """Return the checked options of each source of a recipe; none without sources.

    Raises:
        RecipeError: there is no such kind, an option is wrong, or a kind needs users.

    """
    return {
        name: validate(kind.Options, (recipe.sources or {})[name].options, where=f"sources.{name}")
        for name, kind in source_kinds(recipe).items()
    }


def source_kinds(recipe: Recipe) -> dict[str, type[CandidateSource]]:
    """Return the class of each source of a recipe.

    Raises:
        RecipeError: there is no such kind.

    """
    sources = recipe.sources or {}
    return {
        name: SOURCES.get(
            kind, where=f"sources.{name}" if sources[name].kind is None else f"sources.{name}.kind"
        )
        for name, kind in kinds_of(sources).items()
    }
