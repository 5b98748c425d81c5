"""Repeated items, by hand."""

import numpy as np

from crosstower.retrieval.sources.candidate_source import NoOptions, SourceQuery
from crosstower.retrieval.sources.repeat import RepeatSource


def test_frequent_items_come_first_then_recent_ones() -> None:
    source = RepeatSource(NoOptions(), {})
    ((places, scores),) = source.parts(SourceQuery(np.array([7, 3, 7, 9, 3, 5])))
    assert places.tolist() == [3, 7, 5, 9]
    assert scores.tolist() == [2.0, 2.0, 1.0, 1.0]


def test_an_empty_history_repeats_nothing() -> None:
    ((places, _),) = RepeatSource(NoOptions(), {}).parts(SourceQuery())
    assert len(places) == 0
