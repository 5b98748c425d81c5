"""The retrieval model as a source: the caller's list takes its place among the others."""

import numpy as np
import polars as pl
import pytest

from crosstower.recipe.sources import MODEL
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.sources.candidate_source import NoOptions, SourceQuery
from crosstower.retrieval.sources.quotas import NOTHING, Sources
from crosstower.retrieval.sources.registry import SOURCES
from crosstower.retrieval.sources.repeat import RepeatSource
from crosstower.retrieval.sources.two_tower import TwoTowerSource

VECTORS = np.eye(6, dtype=np.float32)
NONE = np.empty(0, np.int64)
HISTORY = SourceQuery(np.array([4, 5, 4]))  # repeated: 4, then 5


@pytest.fixture
def items() -> OnlineItems:
    index = ExactIndex.build(list(range(6)), VECTORS, pl.DataFrame({"year": range(6)}))
    return OnlineItems(index.catalogue, index, lambda: VECTORS)


@pytest.fixture
def sources() -> Sources:
    model, repeat = TwoTowerSource(NoOptions(), {}), RepeatSource(NoOptions(), {})
    return Sources({MODEL: model, "again": repeat}, {MODEL: 2, "again": 2}, MODEL)


def test_it_is_the_kind_of_the_model_and_the_only_one() -> None:
    SOURCES.load()
    assert SOURCES.get(MODEL) is TwoTowerSource
    assert [name for name, kind in SOURCES.entries.items() if kind.is_model] == [MODEL]
    assert not TwoTowerSource.needs_user


def test_it_stores_nothing_and_finds_nothing_by_itself() -> None:
    assert TwoTowerSource.fit(NoOptions(), None) == {}  # type: ignore[arg-type]
    assert list(TwoTowerSource(NoOptions(), {}).parts(HISTORY)) == []


def test_the_items_nearest_to_the_query_are_its_candidates(
    sources: Sources, items: OnlineItems
) -> None:
    nearest = np.array([4, 1]), np.array([0.9, 0.2])
    found = sources.found(HISTORY, nearest, items, 4, excluded=NONE)
    assert found.sources.names == (MODEL, "again")
    ranks = dict(zip(found.places.tolist(), found.sources.ranks.tolist(), strict=True))
    assert ranks == {4: [1, 1], 1: [2, 0], 5: [0, 2]}
    assert found.places[0] == 4  # both sources have it first


def test_without_a_vector_the_other_sources_remain(sources: Sources, items: OnlineItems) -> None:
    found = sources.found(HISTORY, NOTHING, items, 4, excluded=NONE)
    assert found.places.tolist() == [4, 5]
    assert found.sources.ranks.tolist() == [[0, 1], [0, 2]]
