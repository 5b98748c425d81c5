"""Columns of retrieval, by loops over rows."""

import numpy as np
import pytest

from crosstower.errors import RunError
from crosstower.funnel.retrieved_columns import (
    RETRIEVED,
    SCORE,
    SOURCES,
    read_columns,
    score_column,
    source_column,
)
from crosstower.retrieval.retriever import Retriever

from ..fixtures.live_films import LiveFilms
from ..fixtures.retrieved_films import RetrievedFilms


def test_a_score_is_an_inner_product_that_does_not_depend_on_other_rows() -> None:
    random = np.random.default_rng(0)
    queries, items = (random.normal(size=(40, 7)).astype(np.float32) for _ in range(2))
    known = random.random(40) < 0.8
    found = score_column(queries, items, known)
    assert found.name == SCORE
    for row, value in enumerate(found.to_list()):
        expected = sum(float(a) * float(b) for a, b in zip(queries[row], items[row], strict=True))
        assert value == (pytest.approx(expected, rel=1e-12) if known[row] else None)
        (alone,) = score_column(queries[row : row + 1], items[row : row + 1], known[row : row + 1])
        assert alone == value
    one = score_column(queries[:1], items, known)
    assert one.to_list() == score_column(np.repeat(queries[:1], 40, 0), items, known).to_list()


def test_sources_count_within_the_quotas_of_the_recipe() -> None:
    random = np.random.default_rng(1)
    ranks, quotas = random.integers(0, 6, size=(30, 3)), {"a": 4, "b": 1, "c": 9}
    found = source_column(ranks, quotas)
    assert found.name == SOURCES
    for row, names in enumerate(found.to_list()):
        pairs = zip(quotas.items(), ranks[row], strict=True)
        assert names == [name for (name, quota), rank in pairs if 1 <= rank <= quota]
    assert source_column(ranks[:0], quotas).dtype == found.dtype


def test_a_ranker_reads_sources_only_if_there_are_some(
    retrieved_films: RetrievedFilms, live_films: LiveFilms
) -> None:
    with_sources = Retriever.open(retrieved_films.retrieval)
    without = Retriever.open(live_films.retrieval)
    assert read_columns(["film", SOURCES, SCORE], with_sources) == RETRIEVED
    assert read_columns(["film", SCORE], without) == (SCORE,)
    assert read_columns(["film"], without) == ()
    with pytest.raises(RunError, match="has no sources, but the ranker reads retrieval"):
        read_columns([SOURCES], without)
