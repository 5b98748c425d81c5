"""The ranking stage: requests in a batch get the same result as alone, and as whole rows."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import CrosstowerError, QueryError
from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

pytestmark = pytest.mark.slow

LISTINGS = pl.DataFrame(
    {
        "listing_id": [7, 8, 9],
        "city": ["Paris", "Rome", "Atlantis"],
        "price": [50.0, 80.0, 120.0],
        "amenities": [["wifi"], ["wifi", "pool"], []],
    }
)
QUERY = {"user_id": 5, "home_city": "Rome", "budget": 90.0, "wanted": "wifi"}
NEW = {"listing_id": 10**6, "city": "Paris", "price": 50.0, "amenities": ["wifi", "pool"]}
MANY = [
    FunnelRequest(user=1),
    FunnelRequest(user="5", k=3, where="city == 'Paris'"),
    FunnelRequest(user=250, candidates=30, k=30),
    FunnelRequest(),  # nobody
    FunnelRequest(user=10**9, k=5),  # unknown user
    FunnelRequest(user=5, k=0),  # wrong
    FunnelRequest(user=1, query={"home_city": "Rome", "budget": 80}),
    FunnelRequest(user=1, where="colour == 'red'"),  # wrong
    FunnelRequest(user=7, blend=Override({"click": 1.0}, "percentile", "city")),
    FunnelRequest(user=7, blend=Override({"click": 2.0, "booking": -1.0}, "identity", "")),
    FunnelRequest(user=8, blend=Override({"clicks": 1.0})),  # wrong
    FunnelRequest(user=8, query={"budget": "much"}),  # wrong
    FunnelRequest(user=8, where="city == 'Paris'", exclude=(3, 77, "x")),
    FunnelRequest(query={"home_city": "Rome"}, candidates=2_000),
]


def alone(funnel: OnlineFunnel, request: FunnelRequest) -> Ranked | CrosstowerError:
    try:
        return funnel.recommend(request)
    except QueryError as error:
        return error


def same(mine: Any, theirs: Any) -> None:
    if isinstance(theirs, CrosstowerError):
        assert (type(mine), str(mine)) == (type(theirs), str(theirs))
        return
    assert mine.places.tolist() == theirs.places.tolist()
    for name in ("retrieval_rank", "ranked", "blended"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
    assert mine.predictions.keys() == theirs.predictions.keys()
    scores = [("score", mine.score, theirs.score)]
    scores += [(t, p, theirs.predictions[t]) for t, p in mine.predictions.items()]
    for name, values, expected in scores:
        np.testing.assert_allclose(values, expected, rtol=1e-6, err_msg=name)
    if theirs.retrieval_score is not None:
        np.testing.assert_array_equal(mine.retrieval_score, theirs.retrieval_score)
    np.testing.assert_array_equal(mine.unread, theirs.unread)
    for name in ("fallback", "unseen", "unknown", "retrieved"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert (mine.types is None) == (theirs.types is None)
    assert mine.types is None or mine.types.text() == theirs.types.text()


@pytest.fixture
def funnel(bundle: Bundle) -> OnlineFunnel:
    """The rentals, with one item more."""
    funnel = Live.open(bundle).needs_funnel
    funnel.catalogue.put(funnel.catalogue.encode([NEW]))
    funnel.catalogue.delete([3])
    return funnel


def test_together_as_alone(funnel: OnlineFunnel) -> None:
    found = funnel.recommend_each(MANY)
    assert [isinstance(f, CrosstowerError) for f in found].count(True) == 4
    for mine, request in zip(found, MANY, strict=True):
        same(mine, alone(funnel, request))


def test_no_request_has_no_result(funnel: OnlineFunnel) -> None:
    assert funnel.recommend_each([]) == []


@pytest.mark.parametrize("name", ["places_bundle", "films_bundle", "moods_bundle"])
def test_columns_of_both_sides_and_joined_tables(name: str, request: pytest.FixtureRequest) -> None:
    funnel = Live.open(request.getfixturevalue(name)).needs_funnel
    queries: list[dict[str, Any]] = [{"my_lat": 48.85, "my_lon": 2.35}, {"my_lat": 91.0}]
    if name == "films_bundle":
        queries = [{"hour": 21, "device": "tv"}, {"hour": "late", "colour": 1}]
    if name == "moods_bundle":
        here = {"my_lat": 48.85, "my_lon": 2.35}
        queries = [{**here, "weather": w, "bid": b} for w, b in (("rain", 1), ("sun", 2), ("?", 0))]
        queries.append({**here, "weather": "sun", "bid": -1.0})
    many = [FunnelRequest(user=user, query=query) for query in queries for user in (1, 2, 12_345)]
    for mine, one in zip(funnel.recommend_each(many), many, strict=True):
        same(mine, alone(funnel, one))


def test_a_request_that_cannot_be_blended_is_alone_in_that(
    funnel: OnlineFunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker = funnel.ranker
    assert ranker is not None
    logits = ranker.logits
    many = [FunnelRequest(user=1), FunnelRequest(user=5), FunnelRequest(user=7)]
    expected = [alone(funnel, request) for request in many]

    def broken(query: Any, items: Any) -> Any:
        found = logits(query, items)
        if query.batch.codes.tolist() == second:
            found["click"] = found["click"] * np.float32(np.nan)
        return found

    second = ranker.query({**dict.fromkeys(funnel.query_columns), "user_id": 5, **known(funnel)})
    second = second.batch.codes.tolist()
    monkeypatch.setattr(ranker, "logits", broken)
    found = funnel.recommend_each(many)
    same(found[0], expected[0])
    same(found[2], expected[2])
    assert "finite" in str(found[1])


def known(funnel: OnlineFunnel) -> Any:
    user = funnel.retriever.queries.known(5)
    assert user is not None
    return user.row


@pytest.fixture
def ranker(live: Live) -> OnlineRanker:
    assert live.needs_funnel.ranker is not None
    return live.needs_funnel.ranker


def test_logits_are_those_of_whole_rows(ranker: OnlineRanker, bundle: Bundle) -> None:
    items = ranker.items.encode(LISTINGS, strict=True)
    found = ranker.logits(ranker.query(QUERY), items)
    rows = LISTINGS.with_columns(**{n: pl.lit(v) for n, v in QUERY.items()})
    scorer = bundle.funnel().scorer
    cleaner = Cleaner(scorer.encoder.schema, scorer.columns, with_labels=False)
    cleaned = cleaner.clean(Chunk(rows, "rows", 0, 0))
    expected = scorer.logits(scorer.encoder.encode(cleaned))
    for task in ranker.tasks:
        np.testing.assert_allclose(found[task], expected[task], rtol=1e-4, atol=1e-5)


def test_values_of_a_query_that_training_never_saw_are_told(ranker: OnlineRanker) -> None:
    assert not any(ranker.query(QUERY).unseen.values())
    unseen = ranker.query(QUERY | {"home_city": "Atlantis"}).unseen
    assert {name for name, new in unseen.items() if new} == {"home_city"}


def test_a_query_that_cannot_be_read_is_refused(ranker: OnlineRanker) -> None:
    with pytest.raises(QueryError, match="budget"):
        ranker.query(QUERY | {"budget": "much"})
