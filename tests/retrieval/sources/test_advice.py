"""The command that serves a baseline."""

from pathlib import Path

from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.sources.advice import serving_advice


def test_a_run_without_the_source_gets_the_command(films_recipe: Recipe) -> None:
    plain = films_recipe.model_copy(update={"sources": None})
    found = serving_advice(plain, Path("runs/films"), 32)
    assert found["item_knn"] == (
        "To serve it: crosstower fit runs/films -o sources.two_tower=32 -o sources.item_knn=32"
        " --out runs/films-sources"
    )
    assert set(found) == {"popularity", "item_knn", "transition_graph", "ease"}


def test_other_runs_are_told_what_to_change(films_recipe: Recipe) -> None:
    found = serving_advice(films_recipe, Path("runs/films"), 1_000)
    assert found["ease"] == "Its candidates are a source of this run (sources: ease)."
    frame = films_recipe.model_copy(
        update={
            "sources": None,
            "data": films_recipe.data.model_copy(update={"path": None}),
        }
    )
    words = "To serve it, train with sources: {two_tower: 100, popular: 100} in the recipe."
    assert serving_advice(frame, Path("runs/films"), 1_000)["popularity"] == words
