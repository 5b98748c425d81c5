"""Items as the ranker of an online funnel reads them."""

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.ranker_items import RankerItems, RankerTable
from crosstower.serving.bundle.live import Live

from .test_ranker import LISTINGS, QUERY


@pytest.fixture
def ranker(live: Live) -> OnlineRanker:
    assert live.needs_funnel.ranker is not None
    return live.needs_funnel.ranker


def test_items_are_taken_and_put_behind_one_another(ranker: OnlineRanker) -> None:
    items = ranker.items.encode(LISTINGS, strict=True)
    query = ranker.query(QUERY)
    whole = ranker.logits(query, items)
    again = RankerItems.concatenate([items.take(np.array([2])), items.take(np.array([0, 1]))])
    assert len(again) == 3
    for task, values in ranker.logits(query, again).items():
        np.testing.assert_allclose(values, whole[task][[2, 0, 1]], rtol=1e-6)


def test_an_item_that_cannot_be_read_is_marked_or_refused(ranker: OnlineRanker) -> None:
    bad = LISTINGS.with_columns(price=pl.Series(["50", "much", "120"]))
    items = ranker.items.encode(bad, strict=False)
    assert items.good.tolist() == [True, False, True]
    with pytest.raises(DataError, match=r"column 'price'.*'much'"):
        ranker.items.encode(bad, strict=True)
    assert ranker.items.encode(bad[1:2], strict=False).good.tolist() == [False]
    assert items.unreadable(2).good.tolist() == [False, False]


def test_newer_items_follow_those_of_the_index_and_can_be_replaced(ranker: OnlineRanker) -> None:
    def codes(*rows: int) -> list[list[int]]:
        return items.take(np.array(rows)).batch.codes.tolist()

    items = ranker.items.encode(LISTINGS, strict=True)
    table = RankerTable(items.take(np.array([0])))
    none = np.empty(0, dtype=bool)
    table.put(items.take(np.array([1, 2])), none)
    assert table.take(np.array([2, 0, 1])).batch.codes.tolist() == codes(2, 0, 1)
    table.put(items.take(np.array([0])), np.array([False, True]))  # replaces the first newer one
    assert table.take(np.array([1, 2])).batch.codes.tolist() == codes(2, 0)
    table.keep(np.array([False, False]))
    table.put(items.take(np.array([1])), none)
    assert table.take(np.array([0, 1])).batch.codes.tolist() == codes(0, 1)
