"""Columns of the query, of the item, of both, and of joined tables."""

import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from .test_funnel import agrees, funnel_of


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_joined_tables_and_items_that_cannot_be_read(films_bundle: Bundle) -> None:
    for user in (3, 999):
        agrees(films_bundle, user, None, {"hour": 21, "device": "tv"})
    found = funnel_of(Live.open(films_bundle)).recommend(
        FunnelRequest(user=3, query={"hour": 21}, candidates=40)
    )
    assert (len(found.places), len(found.unread)) == (39, 1)  # a year is 'unknown'


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
