"""How to serve a baseline of the report as a source of candidates."""

from __future__ import annotations

from crosstower.recipe.recipe import Recipe
from crosstower.recipe.sources import MODEL, kinds_of
from crosstower.values.addresses.address import Place

KINDS = {
    "popularity": "popular",
    "item_knn": "item_knn",
    "transition_graph": "transition_graph",
    "ease": "ease",
}
"""The kind of source that has the order of a baseline."""

_QUOTA = 100


def serving_advice(recipe: Recipe, place: Place, items: int) -> dict[str, str]:
    """Return a sentence per baseline that says how to serve it.

    Args:
        recipe: of a retrieval run.
        place: of the run.
        items: size of the catalogue.

    """
    given, quota = kinds_of(recipe.sources or {}), min(_QUOTA, items)
    return {
        baseline: _sentence(kind, given, recipe, place, quota) for baseline, kind in KINDS.items()
    }


def _sentence(kind: str, given: dict[str, str], recipe: Recipe, place: Place, quota: int) -> str:
    if kind in given.values():
        return f"Its candidates are a source of this run (sources: {kind})."
    wanted = [kind] if recipe.sources is not None else [MODEL, kind]
    if not recipe.data.is_named:
        sources = ", ".join(f"{name}: {quota}" for name in wanted)
        return f"To serve it, train with sources: {{{sources}}} in the recipe."
    options = " ".join(f"-o sources.{name}={quota}" for name in wanted)
    return f"To serve it: crosstower fit {place} {options} --out {place}-sources"
