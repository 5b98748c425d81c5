"""The order of a source's items, in parts."""

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.sources import candidate_source
from crosstower.retrieval.sources.candidate_source import NoOptions, best_first
from crosstower.retrieval.sources.repeat import RepeatSource


@pytest.mark.parametrize("count", [0, 1, 9, 50])
def test_parts_are_one_stable_order(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_source, "FIRST", 9)
    scores = np.random.default_rng(count).integers(0, 6, count).astype(float)
    places = np.arange(count) * 2
    parts = list(best_first(places, scores))
    found = np.concatenate([np.empty(0, np.int64), *(part for part, _ in parts)])
    assert found.tolist() == places[np.argsort(-scores, kind="stable")].tolist()
    values = np.concatenate([np.empty(0), *(score for _, score in parts)])
    assert values.tolist() == sorted(scores.tolist(), reverse=True)


def test_changed_items_keep_their_place_unless_a_source_scores_them() -> None:
    nothing = pl.DataFrame({"film": ["f40"]})
    assert RepeatSource(NoOptions(), {}).newer(nothing, np.array([-1])) is None
