"""The command that serves a baseline."""

from pathlib import Path

from crosstower.recipe.recipe import Recipe
from crosstower.recipe.sources import Source
from crosstower.retrieval.sources.advice import serving_advice, source_notes

from ...fixtures.sourced_films import SourcedFilms


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


def test_the_metrics_are_not_those_of_merged_lists(films_recipe: Recipe) -> None:
    model, popular = Source(quota=9), Source(quota=5)
    words = "the metrics of this run are those of two_tower alone"
    for sources, expected in (
        (None, None),
        ({"two_tower": model}, None),
        ({"two_tower": model, "popular": popular}, f"of two_tower, popular; {words}; "),
        ({"popular": popular}, f"of popular; {words}, which is not among them; "),
    ):
        notes = source_notes(films_recipe.model_copy(update={"sources": sources}))
        assert len(notes) == (expected is not None)
        assert all(expected in note for note in notes)


def test_a_run_notes_what_its_metrics_measure(sourced_films: SourcedFilms) -> None:
    run = sourced_films.retrieval
    (note,) = source_notes(run.recipe)
    assert note in run.info.facts.notes
