"""Candidates of requests: several together, and the same on each road to a list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.online.request import RetrievalRequest, RetrievalState
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.batch_jobs.recommend import recommend_users
from crosstower.serving.bundle.live import Live
from crosstower.training.run import Run

from ...fixtures.live_films import LiveFilms

State = RetrievalState[RetrievalRequest]


def states(retriever: Retriever) -> list[State]:
    vectors = retriever.vectors[:5]
    made = [
        State(RetrievalRequest(), size=size, where=where, vector=vectors[place : place + 1])
        for place, (size, where) in enumerate(
            [(5, None), (9, None), (5, "year < 1990"), (5, "year <"), (5, None)]
        )
    ]
    made[4].excluded = np.array([1, 2, 3])
    return [*made, State(RetrievalRequest(), size=4)]


def test_requests_are_found_together_as_alone(film_run: Run) -> None:
    retriever = Retriever.open(film_run)
    together = states(retriever)
    retriever.online.find(together)
    for state, alone in zip(together, states(retriever), strict=True):
        retriever.online.find([alone])
        assert (state.error is None) == (alone.error is None)
        np.testing.assert_array_equal(state.retrieved.places, alone.retrieved.places)
        np.testing.assert_array_equal(state.retrieved.scores, alone.retrieved.scores)


def test_a_wrong_condition_fails_its_own_request_only(film_run: Run) -> None:
    retriever = Retriever.open(film_run)
    many = states(retriever)
    retriever.online.find(many)
    assert [type(state.error) for state in many if state.error is not None] == [QueryError]
    assert [len(state.retrieved.places) for state in many] == [5, 9, 5, 0, 5, 4]
    assert not set(many[4].retrieved.places) & {1, 2, 3}
    assert many[5].retrieved.fallback == "popular"


def served(funnel: OnlineFunnel, request: FunnelRequest) -> tuple[list[Any], list[float], Any]:
    found = funnel.recommend(request)
    ids, scores = funnel.catalogue.items.ids(found.places), found.score.astype(np.float32)
    return ids, scores.tolist(), found.fallback


@pytest.mark.parametrize(
    ("query", "history", "fallbacks"),
    [
        ({}, None, ["popular", None, "popular"]),
        ({"device": "tv"}, None, [None, None, None]),
        ({"device": None}, None, [None, None, None]),
        ({}, ["f01", "f07"], [None, None, None]),
    ],
)
@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_run_gives_the_list_of_a_server(
    film_run: Run,
    query: dict[str, Any],
    history: Sequence[str] | None,
    fallbacks: list[str | None],
) -> None:
    retriever = Retriever.open(film_run)
    funnel, given = OnlineFunnel(retriever, candidates=5), None if history is None else (*history,)
    for user, expected in zip((77777, 3, None), fallbacks, strict=True):
        found = retriever.recommend(user, k=5, query=query, history=history)
        request = FunnelRequest(user, query, k=5, history=given)
        ids, scores, fallback = served(funnel, request)
        assert (found["item_id"].to_list(), found["score"].to_list()) == (ids, scores)
        assert fallback == expected


@pytest.mark.parametrize("user", [5, 77777])
@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_segment_gives_its_popular_items_on_each_road(live_films: LiveFilms, user: int) -> None:
    retriever, query = live_films.only.retriever(), {"country": "FR"}
    found = retriever.recommend(user, k=8, query=query, history=[])
    request = FunnelRequest(user, query, k=8, history=())
    ids, scores, fallback = served(Live.open(live_films.only).needs_funnel, request)
    assert fallback == "popular_segment"
    assert (found["item_id"].to_list(), found["score"].to_list()) == (ids, scores)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_batch_job_gives_the_list_of_one_user(film_run: Run, tmp_path: Path) -> None:
    retriever, users = Retriever.open(film_run), [3, 77777]
    pl.DataFrame({"user": users}).write_parquet(tmp_path / "users.parquet")
    done = recommend_users(
        film_run.folder, tmp_path / "lists", users=tmp_path / "users.parquet", k=5
    )
    lists = pl.read_parquet(tmp_path / "lists/*.parquet")
    assert done.counts["popular lists"] == 1
    for user in users:
        expected = retriever.recommend(user, k=5)["item_id"].to_list()
        assert lists.filter(user_id=user)["item_id"].to_list() == expected
