"""Item-kNN as a source has the order of the baseline."""

import numpy as np

from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.item_knn import ItemKnnOptions, ItemKnnSource
from crosstower.retrieval.sources.source_rows import SourceRows


def test_the_table_is_that_of_the_baseline(film_rows: SourceRows) -> None:
    options = ItemKnnOptions(neighbours=7, shrink=3.0)
    source = ItemKnnSource(options, ItemKnnSource.fit(options, film_rows))
    histories = histories_of(*film_rows.pairs, shape=film_rows.shape)
    model = ItemKnn.fit(histories, neighbours=7, shrink=3.0)
    for user in (0, 5, 31):
        history = film_rows.histories.pairs(np.array([user]))[1]
        expected = model.scores(histories[[user]])[0]
        for places, scores in source.parts(SourceQuery(history)):
            np.testing.assert_allclose(scores, expected[places], rtol=1e-5)
            assert (expected > 0).sum() == len(places)


def test_the_shrinkage_is_chosen_as_for_the_report(film_rows: SourceRows) -> None:
    arrays = ItemKnnSource.fit(ItemKnnOptions(), film_rows)
    model = film_rows.baseline("item_knn")
    assert isinstance(model, ItemKnn)
    assert len(arrays["weights"]) == model.similarity.nnz
