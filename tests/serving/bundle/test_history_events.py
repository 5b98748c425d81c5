from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import BundleError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.history_events import with_history_events
from crosstower.serving.retraining.label_columns import positive_types
from crosstower.serving.retraining.plan import Labels, Runs
from crosstower.serving.retraining.stage import stages_of
from crosstower.training.run import Run

from ...fixtures.live_films import LiveFilms


def test_a_bundle_names_events_of_its_own_and_a_retraining_keeps_them(
    live_films: LiveFilms, tmp_path: Path
) -> None:
    made = make_bundle(live_films.retrieval, tmp_path / "liked", history_events=["like"])
    assert made.event_types == ("like",)
    opened = Bundle.open(tmp_path / "liked")
    assert opened.retrieval is not None
    assert opened.version != live_films.bundle.version
    history = retrieval_section_of(opened.retrieval.recipe).history
    assert (history.column, history.events, history.length) == ("had", ("like",), 20)
    runs = Runs(retrieval=str(live_films.retrieval.folder))
    (stage,) = stages_of(opened, None, runs)
    assert positive_types(stage.recipe, Labels()) == ("like",)
    assert stage.recipe.data.path is not None  # otherwise the recipe of the training


def test_event_types_are_those_of_histories_and_of_counters(
    live_films: LiveFilms, counted_run: Run, tmp_path: Path
) -> None:
    assert live_films.bundle.event_types == ("click", "purchase")
    assert make_bundle(live_films.ranking, tmp_path / "ranks").event_types == ()
    counts = counted_run.recipe.schema_.counts()
    types = tuple(dict.fromkeys(name for one in counts for name in one.events))
    assert make_bundle(counted_run, tmp_path / "counts").event_types == types != ()


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (["like", "like"], "history_events: events: 'like' is named twice"),
        ([" "], "expected texts of 1 to 64 characters that are not blank, got"),
        ("like", "expected a list of types of events, got 'like'"),
    ],
)
def test_wrong_types_make_no_bundle(
    live_films: LiveFilms, tmp_path: Path, types: Any, words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        make_bundle(live_films.retrieval, tmp_path / "b", history_events=types)
    assert not (tmp_path / "b").exists()


def test_only_a_retriever_with_users_has_histories(live_films: LiveFilms, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="history_events: need a retrieval run"):
        make_bundle(live_films.ranking, tmp_path / "b", history_events=["like"])
    recipe: dict[str, Any] = {
        "schema": {"columns": {"words": "text", "film": "categorical"}},
        "model": {"item": ["film"]},
        "retrieval": {"item": "film"},
    }
    with pytest.raises(BundleError, match="has no user column, so no user has a history"):
        with_history_events(Recipe.model_validate(recipe), ["like"])
