"""The online funnel against the batch evaluation, and requests that it refuses."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.retrieval import popular_items as popular
from crosstower.retrieval.run_files import COUNT, ID, SEEN_ITEMS
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from ...fixtures.batches import batch_lists

LISTING = {"listing_id": 7, "city": "Paris", "price": 50.0, "amenities": ["wifi", "pool"]}


def funnel_of(live: Live) -> OnlineFunnel:
    return live.needs_funnel


def ids_of(live: Live, found: Ranked, k: int | None = None) -> list[Any]:
    return funnel_of(live).catalogue.items.ids(found.places[:k])


def agrees(bundle: Bundle, user: Any, where: str | None, query: dict[str, Any]) -> None:
    """Compare a result with the list of the batch evaluation, which encodes all rows again."""
    live, k = Live.open(bundle), 15
    expected = batch_lists(bundle.funnel(), [(user, query)], where)[0].head(k)
    request = FunnelRequest(user=user, k=k, where=where, query=query)
    for _ in range(2):  # the second time from what the first one has kept
        found = funnel_of(live).recommend(request)
        assert ids_of(live, found, k) == expected["item_id"].to_list()
        np.testing.assert_allclose(found.score[:k], expected["score"], rtol=1e-5, atol=1e-6)
        for task, values in found.predictions.items():
            np.testing.assert_allclose(values[:k], expected[f"{task}__prediction"], rtol=1e-5)
        assert found.retrieval_rank is not None
        assert found.retrieval_rank[:k].tolist() == expected["retrieval_rank"].to_list()


@pytest.mark.parametrize("where", [None, "city == 'Paris' and price < 150"])
@pytest.mark.parametrize("user", [1, "5", 250])
def test_it_recommends_as_the_funnel_does(bundle: Bundle, user: Any, where: str | None) -> None:
    agrees(bundle, user, where, {})
    agrees(bundle, user, where, {"home_city": "Rome", "budget": 80})


def test_given_items_are_ranked_as_whole_rows_are(bundle: Bundle, live: Live) -> None:
    ids = [3, 1_000, 77, 10**12]
    request = FunnelRequest(user=5, query={"home_city": "Rome", "budget": 90, "wanted": "pool"})
    found = funnel_of(live).rank(request, ids)
    assert found.unknown == (10**12,)
    listings = bundle.retriever().catalogue
    rows = listings.attributes[listings.places_of(pl.Series([3, 1_000, 77]))]
    whole = [{"user_id": 5, **dict(request.query), **row} for row in rows.to_dicts()]
    given = live.needs_rows.rank(FunnelRequest(), whole)
    assert ids_of(live, found) == [[3, 1_000, 77][i] for i in given.places]
    np.testing.assert_allclose(found.score, given.score, rtol=1e-6)
    ranking = bundle.ranking
    assert ranking is not None
    offline = ranking.predict(pl.DataFrame(whole))
    np.testing.assert_allclose(given.score, offline["blend__score"].to_numpy()[given.places])


def test_nobody_known_gets_popular_items(bundle: Bundle, live: Live) -> None:
    table = bundle.retriever().items.sort(COUNT, descending=True, maintain_order=True)
    most = table[ID].to_list()
    for user in (None, 10**9):
        found = funnel_of(live).recommend(FunnelRequest(user=user, k=5))
        assert found.fallback == "popular"
        assert sorted(ids_of(live, found)) == sorted(most[:50])
    funnel_of(live).catalogue.delete(most[:2])
    items = funnel_of(live).catalogue
    items.put(items.encode([{**LISTING, "listing_id": most[2]}]))
    request = FunnelRequest(k=5, exclude=(most[3],))
    found = ids_of(live, funnel_of(live).recommend(request))
    assert sorted(found) == sorted([most[2], *most[4:53]])
    known = funnel_of(live).recommend(FunnelRequest(query={"home_city": "Rome"}, k=5))
    assert known.fallback is None
    few = funnel_of(live).recommend(FunnelRequest(k=5, where="city == 'Paris'"))
    assert len(few.places) == 50


def test_popular_items_go_on_where_few_of_the_first_fit(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = FunnelRequest(k=5, where="city == 'Paris'")
    whole = ids_of(live, funnel_of(live).recommend(request))
    monkeypatch.setattr(popular, "_FIRST", 40)
    assert ids_of(live, funnel_of(live).recommend(request)) == whole


def test_excluded_items_and_items_that_the_user_had_are_left_out(
    bundle: Bundle, live: Live
) -> None:
    retriever = bundle.retriever()
    place = retriever.queries.place_of(1)
    history = set(retriever.catalogue.ids.gather(retriever.users[SEEN_ITEMS][place]).to_list())
    assert history
    found = set(ids_of(live, funnel_of(live).recommend(FunnelRequest(user=1, k=5))))
    assert not found & history
    out = tuple(list(found)[:10])
    assert not set(out) & set(
        ids_of(live, funnel_of(live).recommend(FunnelRequest(user=1, k=5, exclude=(*out, "x"))))
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (FunnelRequest(user=5, k=0), "k: expected at least 1"),
        (FunnelRequest(user=5, k=51), "k: expected 1 to 50, the number of candidates, got 51"),
        (FunnelRequest(user=5, where="colour == 'red'"), "no column 'colour'"),
        (FunnelRequest(user=5, query={"home_town": "Rome"}), "did you mean 'home_city'"),
        (FunnelRequest(user=5, query={"price": 3}), "is a column of the items"),
        (
            FunnelRequest(user=5, query={"budget": "much"}),
            "column 'budget': expected a finite number",
        ),
        (FunnelRequest(user=5, query={"budget": [1, {"a": 2}]}), "budget|cannot be read"),
    ],
)
def test_bad_requests(live: Live, wrong: FunnelRequest, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        funnel_of(live).recommend(wrong)


def test_candidates_are_never_more_than_the_items(live: Live) -> None:
    request = FunnelRequest(user=1, query={"home_city": "Rome"}, k=3, candidates=10**9)
    found = funnel_of(live).recommend(request).places
    assert 1_000 < len(found) <= len(funnel_of(live).catalogue.items)
