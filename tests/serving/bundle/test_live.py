"""An open bundle with one stage alone, and rows that it cannot read."""

from typing import Any

import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle import make_bundle
from crosstower.serving.bundle.live import Live

from ...fixtures.funnels import Runs
from ...funnel.online.test_funnel import LISTING, funnel_of


def test_a_bundle_that_only_retrieves(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.retrieval], tmp_path / "b"))
    found = funnel_of(live).recommend(FunnelRequest(user=1, k=7))
    expected = blended.retrieval
    assert len(found.places) == 7
    assert found.predictions == {}
    assert funnel_of(live).query_columns == ["home_city", "budget", "wanted"]
    assert expected.recipe.retrieval is not None
    for work in (lambda: live.needs_rows, lambda: funnel_of(live).rank(FunnelRequest(), [1])):
        with pytest.raises(QueryError, match="only retrieves"):
            work()


def test_a_bundle_that_only_ranks(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.ranking], tmp_path / "b"))
    row = {"user_id": 5, "home_city": "Rome", "budget": 9, "wanted": "pool", **LISTING}
    found = live.needs_rows.rank(FunnelRequest(query={"budget": 10}), [row, {**row, "price": 500}])
    assert sorted(found.places.tolist()) == [0, 1]
    with pytest.raises(QueryError, match="rows: no column 'budget', which the ranker reads"):
        live.needs_rows.rank(FunnelRequest(), [{k: v for k, v in row.items() if k != "budget"}])
    with pytest.raises(QueryError, match="column 'price': expected a finite number"):
        live.needs_rows.rank(FunnelRequest(), [{**row, "price": "dear"}])
    with pytest.raises(QueryError, match="this bundle only ranks"):
        funnel_of(live)


def test_rows_with_other_columns_are_refused_before_they_are_read(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: Any, **_more: Any) -> None:
        raise AssertionError("a frame was built")

    monkeypatch.setattr("crosstower.funnel.online.rows.pl.DataFrame", never)
    rows = [{f"key{n}": 1} for n in range(10_000)]
    with pytest.raises(QueryError, match=r"rows\[0\]: no column 'key0'; the ranker reads: .*city"):
        live.needs_rows.rank(FunnelRequest(), rows)
    with pytest.raises(QueryError, match=r"query: no column 'citi'; did you mean 'city'"):
        live.needs_rows.rank(FunnelRequest(query={"citi": 1}), [{"city": "Rome"}])
    with pytest.raises(QueryError, match=r"rows\[1\]: 'city' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"city": "Rome"}, {"city": {"a": 1}}])
    with pytest.raises(QueryError, match="'amenities' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"amenities": [[1]]}])
