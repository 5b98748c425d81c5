"""Columns of the query, of the item, of both, and of joined tables."""

import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.funnel.online.request import FunnelRequest
from crosstower.funnel.online.row_ranker import RowRanker
from crosstower.recipe.rules import RequestRules, Rules
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from .test_online_funnel import agrees, funnel_of


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_joined_tables_and_items_that_cannot_be_read(films_bundle: Bundle) -> None:
    for user in (3, 999):
        agrees(films_bundle, user, None, {"hour": 21, "device": "tv"})
    found = funnel_of(Live.open(films_bundle)).recommend(
        FunnelRequest(user=3, query={"hour": 21}, candidates=40)
    )
    assert (len(found.places), len(found.unread)) == (39, 1)  # a year is 'unknown'


def test_rows_cannot_have_columns_of_a_joined_table(films_bundle: Bundle) -> None:
    ranker = Live.open(films_bundle).needs_rows
    row = {"user": 3, "film": "f01", "device": "tv", "hour": 21}
    assert len(ranker.rank(FunnelRequest(), [row]).places) == 1
    for query, rows in (({}, [{**row, "genre": "drama"}]), ({"genre": "drama"}, [row])):
        with pytest.raises(QueryError, match="'genre' comes from a joined table, by 'film'; leave"):
            ranker.rank(FunnelRequest(query=query), rows)


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_columns_that_query_and_item_decide_together(places_bundle: Bundle) -> None:
    here = {"my_lat": 48.85, "my_lon": 2.35}
    for user in (1, 12345):
        agrees(places_bundle, user, None, here)
        agrees(places_bundle, user, "kind != 'bar'", {**here, "mood": "loud"})
    found = funnel_of(Live.open(places_bundle)).recommend(FunnelRequest(user=1, query=here))
    assert found.types is not None
    assert set(found.types.text()) == {"bar", "park", "shop"}


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_the_query_may_decide_the_type_and_the_amount(moods_bundle: Bundle) -> None:
    here = {"my_lat": 48.85, "my_lon": 2.35}
    for user in (1, 12345):
        for weather, bid in (("rain", 0.5), ("sun", 3), ("fog", 0)):
            agrees(moods_bundle, user, None, {**here, "weather": weather, "bid": bid})
    live = Live.open(moods_bundle)
    for bad in ({"weather": ["rain"], "bid": 1.0}, {"weather": "rain", "bid": -1.0}):
        with pytest.raises(QueryError, match=r"bid|expected single values"):
            funnel_of(live).recommend(FunnelRequest(user=1, query={**here, **bad}))
    rows = [{**here, "user": 1, "mood": "calm", "place": n, "kind": "bar", "lat": 48.8, "lon": 2.3,
             "weather": ["rain"] if n else "rain", "bid": 1.0} for n in (0, 1)]  # fmt: skip
    assert len(live.needs_rows.rank(FunnelRequest(), rows[:1]).places) == 1
    with pytest.raises(QueryError, match=r"rows: .*'weather' holds List"):
        live.needs_rows.rank(FunnelRequest(), rows[1:])


def test_rules_read_the_columns_of_rows_and_pin_their_numbers(bundle: Bundle) -> None:
    rows = [
        {"user_id": 5, "home_city": "Rome", "budget": 90, "wanted": "pool", "listing_id": n,
         "city": ["Rome", "Oslo", "Paris"][n % 3], "price": 40.0 + n, "amenities": ["wifi"]}
        for n in range(12)
    ]  # fmt: skip
    ranker = Live.open(bundle).needs_rows
    rules = RequestRules(
        exclude="price > 48", pin={"item": 7, "at": 1}, max_per={"column": "city", "most": 1}
    )
    found = ranker.rank(FunnelRequest(k=3, rules=rules), rows)
    assert found.places[0] == 7
    assert sorted(found.places.tolist()) == list(range(9))
    assert len({rows[n]["city"] for n in found.places[:3].tolist()}) == 3
    for wrong, words in (({"dedup_by": "pricy"}, "'price'"), ({"dpp": {}}, "item vectors")):
        with pytest.raises(QueryError, match=words):
            ranker.rank(FunnelRequest(rules=RequestRules(**wrong)), rows)


def test_rules_of_the_bundle_that_rows_cannot_keep_are_noticed(bundle: Bundle) -> None:
    own = Rules(mmr={}, boost={"where": "listing_id == 1", "add": 9})
    blends, counters = Live.open(bundle).blends, OnlineCounters.of(bundle.ranker.run)
    ranker = RowRanker(bundle.ranker, blends, counters, rules=own)
    row = {"user_id": 5, "home_city": "Rome", "budget": 90, "wanted": "pool", "listing_id": 1,
           "city": "Rome", "price": 40.0, "amenities": ["wifi"]}  # fmt: skip
    found = ranker.rank(FunnelRequest(k=2), [row | {"listing_id": 2}, row])
    assert found.places.tolist() == [1, 0]
    assert found.notices == (
        "rules: mmr and dpp of the bundle are left out, as rows have no vectors",
    )
