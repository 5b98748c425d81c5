"""The outcomes of a retraining that trains nothing; test_steps.py has those that do."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import DataError, QueryError, RecipeError, RunError, ServeError
from crosstower.serving.retraining.retrain import Retrained, retrain
from crosstower.serving.retraining.versions import Versions
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

from ...fixtures.live_films import LiveFilms
from .films_log import START, filled_state, film_events, films_plan


@pytest.fixture
def attempt(live_films: LiveFilms, tmp_path: Path) -> Any:
    """Retrain the films on a state, whose events are given."""

    def run(events: list[Event], **more: Any) -> Retrained:
        state = filled_state(tmp_path / "state", events)
        plan = films_plan(live_films.retrieval, live_films.ranking, **more.pop("plan", {}))
        base = live_films.bundle.folder
        return retrain(base, state, plan=plan, versions=tmp_path / "versions", **more)

    return run


def left(folder: Path) -> set[str]:
    return {path.name for path in (folder / "versions").iterdir()}


def test_too_few_new_rows_are_skipped(attempt: Any, tmp_path: Path) -> None:
    found = attempt(film_events(0, 49))
    assert (found.outcome, found.number, found.rows) == ("skipped", None, 49)
    assert found.reasons == ("49 new rows; at least 50 are needed (rows.min_new)",)
    with State.open(tmp_path / "state") as state:
        assert state.bundle() is None
        assert list(state.versions.entries()) == []
    assert left(tmp_path) == set()


def test_only_events_before_a_time_count(attempt: Any) -> None:
    until = START + timedelta(seconds=10 * 40 + 60)  # with the window of a minute
    found = attempt(film_events(0, 200), until=until)
    assert (found.outcome, found.rows) == ("skipped", 39)
    with pytest.raises(QueryError, match="until: expected a time with a time zone"):
        attempt([], until=datetime(2026, 1, 1))


def test_a_time_before_the_first_event_is_named(attempt: Any) -> None:
    with pytest.raises(DataError, match=r"no events yet; .* with --until, give a later time"):
        attempt(film_events(0, 200), until=START - timedelta(days=1))


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        ({"runs": {}}, RunError, "runs.retrieval: missing"),
        ({"training": {"ranking": {"epoch": 1}}}, RecipeError, "training.ranking.epoch"),
        ({"labels": {"tasks": {"lked": "x"}}}, RecipeError, "labels.tasks.lked: no task"),
        ({"labels": {"tasks": {"liked": "x"}}}, DataError, "no event of type 'x' has been sent"),
        ({"labels": {"impression": "view", "tasks": {"liked": "click"}}}, DataError,
         "no event of type 'view'"),
        ({"rows": {"base": "nowhere.parquet"}}, DataError, "nowhere.parquet: no such file"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_refused_before_anything_is_trained(
    attempt: Any, tmp_path: Path, more: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        attempt(film_events(0, 200), plan=more)
    assert left(tmp_path) == set()


def test_no_events_and_no_state_are_errors(
    attempt: Any, live_films: LiveFilms, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no events yet; let the server log impressions"):
        attempt([])
    with pytest.raises(ServeError, match="not the state of a server"):
        retrain(live_films.bundle.folder, tmp_path / "nowhere")


def test_a_failed_training_leaves_the_live_bundle(attempt: Any, tmp_path: Path) -> None:
    """All of the newest rows have the same label, so the ranker cannot be tested."""
    shown = [e for e in film_events(0, 300) if e.type == "impression"]
    clicks = [e.model_copy(update={"type": "click", "event_id": f"c{e.event_id}"}) for e in shown]
    with pytest.raises(DataError, match="liked"):
        attempt([*shown, *clicks])
    with State.open(tmp_path / "state") as state:
        assert state.bundle() is None
        begun, failed = state.versions.entries()
    assert (begun.event, failed.event) == ("begun", "failed")
    assert "liked" in failed.detail["reasons"][0]
    assert left(tmp_path) == set()


def test_one_retraining_at_a_time(attempt: Any, live_films: LiveFilms, tmp_path: Path) -> None:
    with (
        State.open(tmp_path / "state") as state,
        Versions.open(tmp_path / "versions", state, base=live_films.bundle.folder),
        pytest.raises(ServeError, match="another retraining uses this state"),
    ):
        attempt(film_events(0, 200))
