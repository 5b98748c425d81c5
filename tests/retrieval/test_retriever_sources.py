"""Lists of a run with sources are those of a server without a ranker."""

from dataclasses import replace
from typing import Any

import pytest

from crosstower.errors import CrosstowerWarning, QueryError
from crosstower.funnel.list_table import list_table
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.sources.merge import merged
from crosstower.retrieval.sources.quotas import NOTHING
from crosstower.serving.bundle.live import Live

from ..fixtures.sourced_films import SourcedFilms


@pytest.mark.parametrize("k", [4, 40])
@pytest.mark.parametrize(
    ("user", "given"),
    [
        (7, {}),
        (7, {"where": "genre == 2"}),
        (12, {"history": ["f02", "f05", "f02"]}),
        (31, {"query": {"device": "tv"}}),
    ],
)
def test_a_list_is_that_of_the_server(
    sourced_films: SourcedFilms, user: int, given: dict[str, Any], k: int
) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    found = retriever.recommend(user, k=k, **given)
    history = tuple(given["history"]) if "history" in given else None
    request = FunnelRequest(user, k=k, **{**given, "history": history})
    funnel = Live.open(sourced_films.only).needs_funnel
    expected = list_table(funnel.recommend(request), retriever.catalogue, "film").head(k)
    assert found["item_id"].to_list() == expected["item_id"].to_list()
    assert found["sources"].to_list() == expected["sources"].to_list()
    assert found["score"].to_list() == expected["score"].cast(found["score"].dtype).to_list()


def test_an_unknown_user_gets_what_needs_no_history(sourced_films: SourcedFilms) -> None:
    retriever = Retriever.open(sourced_films.only.folder / "retrieval")
    with pytest.warns(CrosstowerWarning, match="999 is unknown: treated as"):
        found = retriever.recommend(999, k=20)
    names = {hit["source"] for hits in found["sources"].to_list() for hit in hits}
    assert {"popular", "trending", "new", "editors"} <= names
    assert not names & {"item_knn", "ease", "transition_graph", "seen"}


def test_wrong_requests_are_refused(sourced_films: SourcedFilms) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    with pytest.raises(QueryError, match="k: expected"):
        retriever.recommend(7, k=0)
    with pytest.raises(QueryError, match="colour"):
        retriever.recommend(7, where="colour == 'red'")


@pytest.mark.parametrize("country", ["FR", "DE", "nowhere"])
@pytest.mark.parametrize("user", [7, None])
def test_the_segment_of_a_query_is_read_as_by_the_server(
    sourced_films: SourcedFilms, user: int | None, country: str
) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    found = retriever.recommend(user, k=12, query={"country": country})
    funnel = Live.open(sourced_films.only).needs_funnel
    expected = funnel.recommend(FunnelRequest(user, {"country": country}, k=12))
    assert found["item_id"].to_list() == funnel.catalogue.items.ids(expected.places)


def test_popular_items_stand_in_without_the_history(
    sourced_films: SourcedFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sourced_films.retrieval
    section = run.recipe.retrieval
    assert section is not None
    strict = run.recipe.model_copy(
        update={"retrieval": section.model_copy(update={"exclude_seen": True})}
    )
    retriever = Retriever.open(replace(run, recipe=strict))
    sources = retriever.sources
    assert sources is not None
    empty = merged(("editors",), [NOTHING], size=5)
    monkeypatch.setattr(sources, "found", lambda *_args, **_more: empty)
    popular = retriever.popular(40)
    first = retriever.catalogue.ids_at(popular.places[0][:2])
    found = retriever.recommend(None, k=40, history=first)["item_id"].to_list()
    assert found == retriever.catalogue.ids_at(popular.places[0])[2:]
