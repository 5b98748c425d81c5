"""Users beyond the training rows: their histories, their attributes, and segments."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.errors import CrosstowerWarning, QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import tower_columns_of
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.online.users import LiveUser, no_live_users
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle.live import Live

from ...fixtures.live_films import LiveFilms


@pytest.fixture
def funnel(live_films: LiveFilms) -> OnlineFunnel:
    """Both stages, to change."""
    return Live.open(live_films.bundle).needs_funnel


@pytest.fixture
def only(live_films: LiveFilms) -> OnlineFunnel:
    """A retriever whose query tower reads the history only, to change."""
    return Live.open(live_films.only).needs_funnel


def learns(funnel: OnlineFunnel, users: dict[Any, LiveUser]) -> None:
    """Let a funnel learn of users as in a server."""
    funnel.users.live = lambda user: users.get(user, LiveUser())


def items(funnel: OnlineFunnel, found: Ranked) -> list[Any]:
    return funnel.catalogue.items.ids(found.places)


def trained(retriever: Retriever, user: int) -> list[str]:
    known = retriever.queries.known(user)
    assert known is not None
    return retriever.catalogue.ids.gather(known.history).to_list()


def row(**columns: Any) -> dict[str, Any]:
    return {"film": "f90", "genre": 1, **columns}


def vector(retriever: Retriever, device: str | None, history: Sequence[str]) -> np.ndarray:
    """Encode a query as training does: in a batch, from cleaned columns and histories."""
    run, sides = retriever.run, tower_columns_of(retriever.run.recipe)
    ids = retriever.catalogue.ids
    places = np.array([ids.to_list().index(item) for item in history], dtype=np.int64)
    compact = PartialEncoder(run.encoder, sides.query).encode(
        pl.DataFrame({"device": pl.Series([device], dtype=pl.String)})
    )
    encoder = QueryEncoder(run.encoder, sides, ids)
    histories = Histories(places, np.array([0, len(places)]))
    return query_vectors(retriever.model, encoder, compact, np.array([0]), histories).numpy()


def test_outside_of_a_server_no_user_is_live() -> None:
    assert no_live_users(7) == no_live_users("x") == LiveUser({}, ())


def test_items_of_events_follow_the_training_rows(live_films: LiveFilms) -> None:
    funnel, retriever = Live.open(live_films.bundle).needs_funnel, live_films.bundle.retriever()
    learns(funnel, {3: LiveUser({}, ("f07", "f01", "f07"))})
    before, had = trained(retriever, 3), ["f07", "f01", "f07"]
    (found,) = funnel.recommend_each([FunnelRequest(user=3, k=20)])
    assert isinstance(found, Ranked)
    offline = live_films.bundle.funnel()
    theirs = offline.recommend(3, k=20, history=before + had)
    assert items(funnel, found) == theirs["item_id"].to_list()
    np.testing.assert_allclose(found.score, theirs["score"].to_numpy(), rtol=1e-6)
    # The inner products are those of the model itself, for exactly this history.
    device = retriever.users.row(3, named=True)["device"]
    places = retriever.catalogue.places_of(items(funnel, found))
    expected = vector(retriever, device, before + had) @ retriever.vectors[places].T
    assert found.retrieval_score is not None
    np.testing.assert_allclose(found.retrieval_score, expected[0], rtol=1e-4, atol=1e-5)
    assert not {*before, *had} & set(items(funnel, found))
    alone = offline.recommend(3, k=20)
    assert alone["retrieval_score"].to_list() != theirs["retrieval_score"].to_list()


def test_a_ranker_reads_events_of_unknown_items_as_a_log_has_them(funnel: OnlineFunnel) -> None:
    learns(funnel, {"new": LiveUser({}, ("f01", 7, "f02", "x", "f03", 8))})
    user = funnel.users.of("new", None)
    assert user.newest == ("7", "f02", "x", "f03", "8")  # the last 5, of one type
    assert funnel.catalogue.items.ids(user.history) == ["f01", "f02", "f03"]
    assert funnel.users.of("new", ["f01", "x", "f02"]).newest == ("f01", "f02")
    assert isinstance(funnel.recommend(FunnelRequest(user="new", k=5)), Ranked)


def test_events_of_an_unknown_user_make_the_user_known(
    funnel: OnlineFunnel, live_films: LiveFilms
) -> None:
    learns(funnel, {"new": LiveUser({}, ("f03", "f06"))})
    found = funnel.recommend(FunnelRequest(user="new", k=20))
    assert (found.fallback, found.notices) == (None, ())
    retriever = live_films.bundle.retriever()
    expected = vector(retriever, None, ["f03", "f06"]) @ retriever.vectors.T
    assert found.retrieval_score is not None
    places = retriever.catalogue.places_of(items(funnel, found))
    np.testing.assert_allclose(found.retrieval_score, expected[0, places], rtol=1e-4, atol=1e-5)
    assert not {"f03", "f06"} & set(items(funnel, found))
    with pytest.warns(CrosstowerWarning, match="user 'other' is unknown"):
        other = live_films.bundle.funnel().recommend("other", k=20)
    assert funnel.recommend(FunnelRequest(user="other", k=20)).fallback == "popular"
    assert other.height == 20


def test_a_given_history_replaces_that_of_the_user(funnel: OnlineFunnel) -> None:
    learns(funnel, {3: LiveUser({}, ("f07",)), "new": LiveUser({}, ("f07",))})
    requests = [
        FunnelRequest(user=user, k=20, query={"device": "tv"}, history=("f01", "f02"))
        for user in (3, "new", None)
    ]
    known, new, nobody = (funnel.recommend(one) for one in requests)
    assert known.retrieval_score is not None
    for other in (new, nobody):
        assert items(funnel, other) == items(funnel, known)
        np.testing.assert_array_equal(other.retrieval_score, known.retrieval_score)
        assert other.notices == ()
    empty = funnel.recommend(FunnelRequest(user=3, k=20, candidates=30, history=()))
    assert empty.fallback is None  # the device is known
    assert "f07" in items(funnel, empty)  # nothing is excluded


def test_ids_that_are_no_items_are_named(funnel: OnlineFunnel, live_films: LiveFilms) -> None:
    history = ("f01", "x", 7, *(f"y{n}" for n in range(9_997)))
    found = funnel.recommend(FunnelRequest(k=5, history=history))
    words = "history: 9,999 ids are not items and are ignored: 'x', 7, 'y0', 'y1', 'y2', …"
    assert found.notices == (words,)
    alone = funnel.recommend(FunnelRequest(k=5, history=("f01",)))
    assert items(funnel, found) == items(funnel, alone)
    with pytest.warns(CrosstowerWarning, match="history: 1 id is not an item and is ignored: 'x'"):
        live_films.bundle.retriever().recommend(k=5, history=["f01", "x"])
    with pytest.raises(QueryError, match="expected an id"):
        funnel.recommend(FunnelRequest(k=5, history=(1.5,)))  # type: ignore[arg-type]


def test_a_history_of_unknown_items_alone_is_none(only: OnlineFunnel) -> None:
    found = only.recommend(FunnelRequest(k=5, history=("x",)))
    assert found.fallback == "popular"
    assert only.recommend(FunnelRequest(user=3, k=5, history=())).fallback == "popular"


def test_an_event_acts_once_its_item_exists(funnel: OnlineFunnel) -> None:
    learns(funnel, {3: LiveUser({}, ("f90",))})
    before = funnel.recommend(FunnelRequest(user=3, k=20, candidates=30))
    catalogue = funnel.catalogue
    catalogue.put(catalogue.encode([row()]))
    after = funnel.recommend(FunnelRequest(user=3, k=20, candidates=31))
    assert "f90" not in items(funnel, after)
    assert before.retrieval_score is not None
    assert after.retrieval_score is not None
    assert sorted(before.retrieval_score) != sorted(after.retrieval_score)  # the tower reads it
    other = funnel.recommend(FunnelRequest(user=6, k=20, candidates=31))
    assert "f90" in items(funnel, other)


def test_a_seen_item_stays_excluded_when_it_is_put_again(funnel: OnlineFunnel) -> None:
    learns(funnel, {3: LiveUser({}, ("f07",))})
    first = funnel.recommend(FunnelRequest(user=3, k=10, candidates=30))
    catalogue, seen = funnel.catalogue, [*trained(funnel.retriever, 3)[-2:], "f07"]
    catalogue.put(catalogue.encode([row(film=film, genre=int(film[1:]) % 3) for film in seen]))
    again = funnel.recommend(FunnelRequest(user=3, k=10, candidates=30))
    assert items(funnel, again) == items(funnel, first)
    np.testing.assert_array_equal(again.score, first.score)
    catalogue.delete(["f07"])
    assert items(funnel, funnel.recommend(FunnelRequest(user=3, k=10, candidates=30))) == items(
        funnel, first
    )


def test_attributes_are_the_columns_of_a_query_that_its_own_replace(funnel: OnlineFunnel) -> None:
    learns(funnel, {"new": LiveUser({"device": "tv"}), 3: LiveUser({"device": "phone"})})
    own = funnel.recommend(FunnelRequest(query={"device": "tv"}, k=20))
    found = funnel.recommend(FunnelRequest(user="new", k=20))
    assert (found.fallback, found.notices) == (None, ())
    np.testing.assert_array_equal(found.score, own.score)
    given = funnel.recommend(FunnelRequest(user="new", query={"device": "phone"}, k=20))
    phone = funnel.recommend(FunnelRequest(query={"device": "phone"}, k=20))
    np.testing.assert_array_equal(given.score, phone.score)
    known = funnel.recommend(FunnelRequest(user=3, k=20))
    replaced = funnel.recommend(FunnelRequest(user=3, query={"device": "phone"}, k=20))
    np.testing.assert_array_equal(known.score, replaced.score)
    learns(funnel, {})
    np.testing.assert_array_equal(
        funnel.recommend(FunnelRequest(user=3, query={"device": "phone"}, k=20)).score, known.score
    )


def test_only_a_segment_gives_its_popular_items(only: OnlineFunnel) -> None:
    learns(
        only, {"new": LiveUser({"country": "DE"}), "both": LiveUser({"country": "DE"}, ("f01",))}
    )
    found = only.recommend(FunnelRequest(query={"country": "FR"}, k=8))
    places, counts = only.catalogue.popular.best(
        8, where=None, excluded=np.empty(0, np.int64), segment="FR"
    )
    assert (found.fallback, found.places.tolist()) == ("popular_segment", places.tolist())
    assert found.score.tolist() == counts.tolist()
    german = only.recommend(FunnelRequest(user="new", k=8))
    assert (german.fallback, german.notices) == ("popular_segment", ())
    assert german.score.tolist() != found.score.tolist()
    own = only.recommend(FunnelRequest(user="new", query={"country": "FR"}, k=8))
    assert own.places.tolist() == found.places.tolist()
    assert only.recommend(FunnelRequest(query={"country": "XX"}, k=8)).fallback == "popular"
    assert only.recommend(FunnelRequest(query={"country": None}, k=8)).fallback == "popular"
    assert only.recommend(FunnelRequest(user="both", k=8)).fallback is None
    assert only.recommend(FunnelRequest(user=3, query={"country": "FR"}, k=8)).fallback is None
    with pytest.raises(QueryError, match="query: 'country': expected an id"):
        only.recommend(FunnelRequest(query={"country": [1]}, k=8))


def test_a_query_without_a_direction_gets_popular_items(
    only: OnlineFunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.zeros((1, 8), np.float32)
    monkeypatch.setattr(only.retriever.queries, "vectors", lambda *_: nothing)
    assert only.recommend(FunnelRequest(history=("f01",), k=8)).fallback == "popular"


def test_a_segment_beside_other_columns_changes_nothing(funnel: OnlineFunnel) -> None:
    alone = funnel.recommend(FunnelRequest(query={"device": "tv"}, k=8))
    both = funnel.recommend(FunnelRequest(query={"device": "tv", "country": "FR"}, k=8))
    np.testing.assert_array_equal(alone.score, both.score)
    assert funnel.recommend(FunnelRequest(query={"country": "FR"}, k=8)).fallback == (
        "popular_segment"
    )
    assert funnel.query_columns == ["device", "had", "country"]
    assert funnel.needed_columns == []


def test_given_items_are_ranked_with_the_live_history(funnel: OnlineFunnel) -> None:
    learns(funnel, {"new": LiveUser({"device": "tv"}, ("f01", "f02"))})
    found = funnel.rank(FunnelRequest(user="new"), ["f05", "f06"])
    query = {"device": "tv", "had": ["f01", "f02"]}
    theirs = funnel.rank(FunnelRequest(query=query), ["f05", "f06"])
    np.testing.assert_array_equal(found.score, theirs.score)
    other = funnel.rank(FunnelRequest(query={**query, "had": ["f03"]}), ["f05", "f06"])
    assert found.score.tolist() != other.score.tolist()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"devise": "tv"}, "no column 'devise'; did you mean 'device'"),
        ({"film": "f01"}, "no column 'film'; users have: device, country"),
        ({"user": 4}, "no column 'user'; users have"),
        ({"had": ["f01"]}, "no column 'had'; users have"),
        ({"device": [1, 2]}, "device"),
    ],
)
def test_attributes_are_checked_as_a_query_is(
    funnel: OnlineFunnel, attributes: dict[str, Any], words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        funnel.users.check(attributes)
    assert funnel.users.readable({**attributes, "country": "FR"}) == {"country": "FR"}
    funnel.users.check({"device": None, "country": "FR"})
