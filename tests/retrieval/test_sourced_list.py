"""Lists of a run with sources are those of a server without a ranker."""

from typing import Any

import pytest

from crosstower.errors import CrosstowerWarning, QueryError
from crosstower.funnel.list_table import list_table
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.retriever import Retriever
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
    with pytest.warns(CrosstowerWarning, match="unknown"):
        found = retriever.recommend(999, k=5)
    names = {hit["source"] for hits in found["sources"].to_list() for hit in hits}
    assert {"popular", "trending", "new", "editors"} <= names
    assert not names & {"item_knn", "ease", "transition_graph", "seen"}


def test_wrong_requests_are_refused(sourced_films: SourcedFilms) -> None:
    retriever = Retriever.open(sourced_films.retrieval)
    with pytest.raises(QueryError, match="k: expected"):
        retriever.recommend(7, k=0)
    with pytest.raises(QueryError, match="colour"):
        retriever.recommend(7, where="colour == 'red'")
