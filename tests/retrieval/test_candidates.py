"""Candidates of many queries are those of single requests."""

import numpy as np
import pytest

from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.candidates import Retrieved, queries_of, retrieve_candidates
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle.live import Live

from ..fixtures.live_films import LiveFilms
from ..fixtures.sourced_films import SOURCES, TOTAL, SourcedFilms

USERS = [0, 7, 12, 31, 59]
COUNTRIES = ["FR" if user % 2 == 0 else "DE" for user in USERS]


@pytest.mark.parametrize("where", [None, "genre == 1"])
@pytest.mark.parametrize("size", [3, TOTAL, 31])
def test_offline_candidates_are_those_of_a_server(
    sourced_films: SourcedFilms, where: str | None, size: int
) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    asked = [retriever.query(user, None) for user in USERS]
    vectors = np.concatenate([vector for vector, _ in asked])
    queries = queries_of([history for _, history in asked], COUNTRIES)
    found = retrieve_candidates(retriever, vectors, queries, size, where=where)
    assert found.names == tuple(SOURCES)
    live = Live.open(sourced_films.bundle)
    for row, (user, country) in enumerate(zip(USERS, COUNTRIES, strict=True)):
        request = FunnelRequest(user, {"country": country}, k=1, where=where, candidates=size)
        one = live.needs_funnel.recommend(request)
        assert one.retrieval_rank is not None
        assert one.sources is not None
        order = np.argsort(one.retrieval_rank)
        places = found.places[row][found.places[row] >= 0]
        assert places.tolist() == one.places[order].tolist()
        assert found.ranks[row, : len(places)].tolist() == one.sources.ranks[order].tolist()
        np.testing.assert_allclose(
            found.scores[row, : len(places)], one.retrieval_score[order], rtol=1e-6
        )


def test_parts_of_other_widths_are_joined() -> None:
    one, two = (
        Retrieved(
            np.arange(width)[None],
            np.ones((1, width), np.float32),
            ("a",),
            np.ones((1, width, 1), np.int32),
        )
        for width in (2, 3)
    )
    both = Retrieved.joined([one, two])
    assert both.places.tolist() == [[0, 1, -1], [0, 1, 2]]
    assert both.ranks[:, :, 0].tolist() == [[1, 1, 0], [1, 1, 1]]


def test_popular_items_stand_in_for_unknown_users_as_in_a_server(live_films: LiveFilms) -> None:
    retriever, live = live_films.only.retriever(), Live.open(live_films.only)
    vector, history = retriever.query(3, None)
    vectors = np.concatenate([vector, np.zeros_like(vector), np.zeros_like(vector)])
    queries = queries_of([history, history[:0], history[:0]], ["FR", "FR", None])
    informed = np.array([True, False, False])
    found = retrieve_candidates(retriever, vectors, queries, 6, informed=informed)
    requests = [
        FunnelRequest(3, {"country": "FR"}, k=6),
        FunnelRequest("unknown", {"country": "FR"}, k=6),
        FunnelRequest("unknown", k=6),
    ]
    for row, request in enumerate(requests):
        one = live.needs_funnel.recommend(request)
        assert one.fallback == (None, "popular_segment", "popular")[row]
        assert found.places[row].tolist() == one.places.tolist()


def test_other_sources_serve_queries_of_which_the_model_knows_nothing(
    sourced_films: SourcedFilms,
) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    vector, history = retriever.query(3, None)
    queries = queries_of([history[:0]], None)
    found = retrieve_candidates(retriever, vector, queries, TOTAL, informed=np.array([False]))
    one = Live.open(sourced_films.only).needs_funnel.recommend(
        FunnelRequest("unknown", k=1, candidates=TOTAL)
    )
    assert found.places[0].tolist() == one.places.tolist()
    assert one.sources is not None
    assert found.ranks[0].tolist() == one.sources.ranks.tolist()
    assert (found.ranks[:, :, 0] == 0).all()
