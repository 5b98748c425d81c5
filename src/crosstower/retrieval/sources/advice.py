"""How to serve a baseline as a source of candidates, and what the metrics of a run leave out."""

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


def source_notes(recipe: Recipe) -> list[str]:
    """Return the note that the metrics are not those of the merged lists; empty without sources."""
    kinds = kinds_of(recipe.sources or {})
    if set(kinds.values()) <= {MODEL}:
        return []
    left_out = "" if MODEL in kinds.values() else ", which is not among them"
    note = (
        f"sources: lists merge the candidates of {', '.join(kinds)}; the metrics of this run are"
        f" those of {MODEL} alone{left_out}; crosstower funnel measures the merged lists"
    )
    return [note]


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
