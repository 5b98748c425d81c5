"""Items that are new, changed or deleted while requests are served."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError, QueryError
from crosstower.funnel.online import catalogue as module
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

from .test_online_funnel import LISTING, funnel_of, ids_of


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_new_item_is_found_at_once_and_scored_as_any_other(bundle: Bundle, live: Live) -> None:
    catalogue = funnel_of(live).catalogue
    twin = catalogue.items.attributes(catalogue.items.places_of([7]))[0]
    new = {**twin, "listing_id": 10**6, "city": "Atlantis"}
    catalogue.put(catalogue.encode([new]))
    found = funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Atlantis'", k=1))
    assert ids_of(live, found) == [10**6]
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    mine = funnel_of(live).rank(FunnelRequest(user=5, query=query), [10**6])
    ranking = bundle.ranking
    assert ranking is not None
    offline = ranking.predict(pl.DataFrame([{"user_id": 5, **query, **new}]))
    np.testing.assert_allclose(mine.score, offline["blend__score"], rtol=1e-6)
    assert [a["city"] for a in catalogue.items.attributes(found.places)] == ["Atlantis"]


def test_a_changed_item_has_its_new_attributes_alone(live: Live) -> None:
    items = funnel_of(live).catalogue
    items.put(items.encode([LISTING]))
    twice = [{**LISTING, "city": "Oslo"}, {**LISTING, "city": "Bergen"}]
    items.put(items.encode(twice))  # the last one counts
    request = FunnelRequest(user=5, k=3, candidates=2_000)
    everything = ids_of(live, funnel_of(live).recommend(request))
    assert everything.count(7) == 1
    found = funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Bergen'", k=1))
    assert ids_of(live, found) == [7]
    assert (
        len(funnel_of(live).recommend(FunnelRequest(user=5, where="city == 'Oslo'", k=1)).places)
        == 0
    )


def test_a_deleted_item_is_gone_until_it_comes_back(live: Live) -> None:
    items, request = funnel_of(live).catalogue, FunnelRequest(user=5, k=10)
    first = ids_of(live, funnel_of(live).recommend(request), 10)
    items.delete([first[0], "nobody"])
    later = ids_of(live, funnel_of(live).recommend(request))
    assert first[0] not in later
    assert len(later) == 50
    assert funnel_of(live).rank(request, [first[0]]).unknown == (first[0],)
    with pytest.raises(QueryError, match="no item"):
        funnel_of(live).similar(first[0], k=3)
    items.put(items.encode([{**LISTING, "listing_id": first[0]}]))
    assert ids_of(live, funnel_of(live).rank(request, [first[0]])) == [first[0]]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"city": "Oslo"}, r"items\[0\]: no 'listing_id'"),
        ({**LISTING, "town": "Oslo"}, "no column 'town'"),
        ({**LISTING, "price": "dear"}, r"items\[0\]: 'price' must be Float64, got 'dear'"),
        (
            {**LISTING, "listing_id": "seven"},
            r"'listing_id' must be an integer, .*'seven'",
        ),
        ({**LISTING, "price": float("inf")}, "price"),
    ],
)
def test_an_item_that_cannot_be_read_changes_nothing(live: Live, row: Any, words: str) -> None:
    catalogue = funnel_of(live).catalogue
    with pytest.raises((QueryError, DataError), match=words):
        catalogue.encode([row])
    assert catalogue.items.newer_count == 0


def test_a_number_for_a_date_counts_since_1970() -> None:
    found = module._typed("released", {0: 788_918_400, 1: "1995-01-01", 2: None}, pl.Date())
    assert found.to_list() == [date(1995, 1, 1), date(1995, 1, 1), None]
    with pytest.raises(QueryError, match=r"items\[1\]: 'released' must be Date, got 1995"):
        module._typed("released", {0: None, 1: 1995}, pl.Date())
