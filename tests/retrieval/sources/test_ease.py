"""EASE^R as a source, compared with the dense model."""

import numpy as np
import pytest

from crosstower.errors import DataError
from crosstower.retrieval.baselines import ease
from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.baselines.ease import Ease
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.ease import EaseOptions, EaseSource
from crosstower.retrieval.sources.source_rows import SourceRows


def test_all_weights_give_the_scores_of_the_model(film_rows: SourceRows) -> None:
    options = EaseOptions(neighbours=len(film_rows.items), l2=4.0)
    source = EaseSource(options, EaseSource.fit(options, film_rows))
    histories = histories_of(*film_rows.pairs, shape=film_rows.shape)
    model = Ease.fit(histories, l2=4.0)
    for user in (1, 17):
        history = film_rows.histories.pairs(np.array([user]))[1]
        expected = model.scores(histories[[user]])[0]
        for places, scores in source.parts(SourceQuery(history)):
            np.testing.assert_allclose(scores, expected[places], rtol=1e-3, atol=1e-5)


def test_the_penalty_is_chosen_as_for_the_report(film_rows: SourceRows) -> None:
    arrays = EaseSource.fit(EaseOptions(), film_rows)
    assert arrays["weights"].size


def test_a_large_catalogue_is_refused(
    film_rows: SourceRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "EASE_LIMIT", 10)
    with pytest.raises(DataError, match="up to 10"):
        EaseSource.fit(EaseOptions(l2=5.0), film_rows)
