"""Items and queries as the ranker of an online funnel reads them."""

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, QueryError
from crosstower.funnel.online.ranker import OnlineRanker, RankerItems
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live

LISTINGS = pl.DataFrame(
    {
        "listing_id": [7, 8, 9],
        "city": ["Paris", "Rome", "Atlantis"],
        "price": [50.0, 80.0, 120.0],
        "amenities": [["wifi"], ["wifi", "pool"], []],
    }
)
QUERY = {"user_id": 5, "home_city": "Rome", "budget": 90.0, "wanted": "wifi"}


@pytest.fixture
def ranker(live: Live) -> OnlineRanker:
    assert live.needs_funnel.ranker is not None
    return live.needs_funnel.ranker


def test_logits_are_those_of_whole_rows(ranker: OnlineRanker, bundle: Bundle) -> None:
    items = ranker.encode_items(LISTINGS, strict=True)
    found = ranker.logits(ranker.query(QUERY), items)
    rows = LISTINGS.with_columns(**{n: pl.lit(v) for n, v in QUERY.items()})
    scorer = bundle.funnel().scorer
    cleaner = Cleaner(scorer.encoder.schema, scorer.columns, with_labels=False)
    cleaned = cleaner.clean(Chunk(rows, "rows", 0, 0))
    expected = scorer.logits(scorer.encoder.encode(cleaned))
    for task in ranker.tasks:
        np.testing.assert_allclose(found[task], expected[task], rtol=1e-4, atol=1e-5)


def test_items_are_taken_and_put_behind_one_another(ranker: OnlineRanker) -> None:
    items = ranker.encode_items(LISTINGS, strict=True)
    query = ranker.query(QUERY)
    whole = ranker.logits(query, items)
    again = RankerItems.concatenate([items.take(np.array([2])), items.take(np.array([0, 1]))])
    assert len(again) == 3
    for task, values in ranker.logits(query, again).items():
        np.testing.assert_allclose(values, whole[task][[2, 0, 1]], rtol=1e-6)


def test_an_item_that_cannot_be_read_is_marked_or_refused(ranker: OnlineRanker) -> None:
    bad = LISTINGS.with_columns(price=pl.Series(["50", "much", "120"]))
    items = ranker.encode_items(bad, strict=False)
    assert items.good.tolist() == [True, False, True]
    with pytest.raises(DataError, match=r"column 'price'.*'much'"):
        ranker.encode_items(bad, strict=True)
    assert ranker.encode_items(bad[1:2], strict=False).good.tolist() == [False]
    assert items.unreadable(2).good.tolist() == [False, False]


def test_values_of_a_query_that_training_never_saw_are_told(ranker: OnlineRanker) -> None:
    assert not any(ranker.query(QUERY).unseen.values())
    unseen = ranker.query(QUERY | {"home_city": "Atlantis"}).unseen
    assert {name for name, new in unseen.items() if new} == {"home_city"}


def test_a_query_that_cannot_be_read_is_refused(ranker: OnlineRanker) -> None:
    with pytest.raises(QueryError, match="budget"):
        ranker.query(QUERY | {"budget": "much"})
