"""Quotas, and the items of a source while the catalogue changes."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.sources.candidate_source import (
    CandidateSource,
    NoOptions,
    Part,
    SourceQuery,
)
from crosstower.retrieval.sources.quotas import Sources, found_by
from crosstower.retrieval.sources.recent import RecentOptions, RecentSource

N = 8
NOBODY = SourceQuery()
NONE = np.empty(0, np.int64)


class Ascending(CandidateSource):
    """All items in the order of the catalogue, in two parts."""

    @classmethod
    def fit(cls, options: NoOptions, rows: object) -> dict[str, np.ndarray]:
        return {}

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        for places in np.split(np.arange(N), [3]):
            yield places, -places.astype(float)


@pytest.fixture
def items() -> OnlineItems:
    table = pl.DataFrame({"kind": ["ab"[i % 2] for i in range(N)], "year": range(2000, 2000 + N)})
    index = ExactIndex.build(list(range(N)), np.eye(N, dtype=np.float32), table)
    return OnlineItems(index.catalogue, index, lambda: np.eye(N, dtype=np.float32))


def put(items: OnlineItems, ids: list[int], years: list[int]) -> None:
    table = pl.DataFrame({"kind": ["a"] * len(ids), "year": years})
    items.put(pl.Series(ids), table, np.ones((len(ids), N), np.float32))


def ids_of(items: OnlineItems, source: CandidateSource, k: int, where: str | None = None) -> object:
    found = found_by(source, NOBODY, items, k, where=where, excluded=np.array([1]))
    assert len(found[0]) == len(found[1])
    return items.ids(found[0])


def test_conditions_and_exclusions_hold_before_the_quota(items: OnlineItems) -> None:
    source = Ascending(NoOptions(), {})
    assert ids_of(items, source, 3) == [0, 2, 3]
    assert ids_of(items, source, 3, "kind == 'b'") == [3, 5, 7]
    assert ids_of(items, source, 99, "year < 2003") == [0, 2]
    with pytest.raises(QueryError, match="colour"):
        ids_of(items, source, 3, "colour == 'red'")


def test_changed_items_stay_and_deleted_ones_go(items: OnlineItems) -> None:
    source = Ascending(NoOptions(), {})
    put(items, [2, 99], [1990, 1991])
    items.delete(pl.Series([0]))
    assert ids_of(items, source, 3) == [2, 3, 4]
    assert ids_of(items, source, 3, "year < 2000") == [2]


def test_a_source_may_score_new_items_itself(items: OnlineItems) -> None:
    times = np.arange(2000.0, 2000 + N)
    times[6] = np.nan
    source = RecentSource(RecentOptions(column="year"), {"times": times})
    assert ids_of(items, source, 3) == [7, 5, 4]
    put(items, [7, 99, 98], [1950, 2004, 2040])
    assert ids_of(items, source, 4) == [98, 5, 4, 99]
    assert ids_of(items, source, 2, "year < 1990") == [7]
    items.delete(pl.Series([98]))
    assert ids_of(items, source, 2) == [5, 4]


def test_an_item_that_loses_its_time_is_not_recent(items: OnlineItems) -> None:
    times = np.arange(2000.0, 2000 + N)
    source = RecentSource(RecentOptions(column="year"), {"times": times})
    table = pl.DataFrame({"kind": ["a"], "year": [None]}, schema=items.schema)
    items.put(pl.Series([7]), table, np.ones((1, N), np.float32))
    assert ids_of(items, source, 2) == [6, 5]


def test_without_a_column_a_changed_item_keeps_its_time(items: OnlineItems) -> None:
    source = RecentSource(RecentOptions(), {"times": np.arange(2000.0, 2000 + N)})
    put(items, [6, 99], [1950, 1950])
    assert ids_of(items, source, 3) == [99, 7, 6]


def test_quotas_grow_with_the_number_of_candidates() -> None:
    sources = Sources({"a": Ascending(NoOptions(), {})}, {"a": 3, "b": 7})
    assert sources.total == 10
    assert [sources.quota("a", size) for size in (1, 10, 11, 20)] == [3, 3, 4, 6]
    halves = Sources({"a": Ascending(NoOptions(), {})}, {"a": 50, "b": 50})
    assert halves.quota("a", 110) == 55


def test_the_model_is_one_of_the_sources(items: OnlineItems) -> None:
    both = {"model": Ascending(NoOptions(), {}), "other": Ascending(NoOptions(), {})}
    sources = Sources(both, {"model": 2, "other": 2}, model="model")
    nearest = np.array([6, 0]), np.array([0.9, 0.5])
    found = sources.found(NOBODY, nearest, items, 4, excluded=NONE)
    assert found.places.tolist() == [0, 6, 1]
    assert found.sources.of(0) == {"model": (2, 0.5), "other": (1, 0.0)}
    first = sources.found(NOBODY, nearest, items, 1, excluded=NONE)
    assert first.places.tolist() == [0]
