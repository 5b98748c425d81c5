"""The transition graph as a source has the order of the baseline."""

import numpy as np
import pytest

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.transitions import TransitionGraph
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.retrieval.sources.transition_graph import TransitionOptions, TransitionSource


def test_scores_are_those_of_the_baseline(film_rows: SourceRows) -> None:
    options = TransitionOptions(neighbours=100, window=2, decay=0.6, recency=0.3)
    source = TransitionSource(options, TransitionSource.fit(options, film_rows))
    items = len(film_rows.items)
    graph = TransitionGraph.fit(film_rows.histories, items=items, window=2, decay=0.6, recency=0.3)
    for user in (2, 40):
        history = film_rows.histories.pairs(np.array([user]))[1]
        rows = np.zeros(len(history), np.int64)
        expected = graph.scores(graph.histories_of(rows, history, shape=(1, items)))[0]
        for places, scores in source.parts(SourceQuery(history)):
            np.testing.assert_allclose(scores, expected[places], rtol=1e-4)
            assert (expected > 0).sum() == len(places)


def test_the_window_is_chosen_as_for_the_report(film_rows: SourceRows) -> None:
    arrays = TransitionSource.fit(TransitionOptions(), film_rows)
    model = film_rows.baseline("transition_graph")
    assert isinstance(model, TransitionGraph)
    assert len(arrays["weights"]) == model.weights.nnz


def test_a_decay_without_a_window_is_refused() -> None:
    with pytest.raises(RecipeError, match="decay: needs window"):
        TransitionOptions(decay=0.5)
