import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.similar import similar_items

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(30, 6)).astype(np.float32)
VECTORS[7] = 0.0  # has no direction
INDEX = ExactIndex.build(
    [f"i{n:02d}" for n in range(30)], VECTORS, pl.DataFrame({"even": [1, 0] * 15})
)
ITEMS = OnlineItems(INDEX.catalogue, INDEX, lambda: VECTORS)


@pytest.mark.parametrize("where", [None, "even == 1"])
def test_the_most_similar_items_are_those_of_the_largest_cosine(where: str | None) -> None:
    places, scores = similar_items(ITEMS, "i03", k=5, where=where)
    wide = VECTORS.astype(np.float64)
    norm = np.maximum(np.linalg.norm(wide, axis=1), 1e-12)
    cosine = wide @ wide[3] / (norm * norm[3])
    order = [n for n in np.argsort(-cosine) if n != 3 and (where is None or n % 2 == 0)]
    assert places.tolist() == order[:5]
    np.testing.assert_allclose(scores, cosine[order[:5]], rtol=1e-5)


def test_an_item_that_is_not_there_and_a_wrong_number_are_refused() -> None:
    with pytest.raises(QueryError, match=r"no item 'i3' among 30; did you mean 'i23'\?"):
        similar_items(ITEMS, "i3", k=5)
    with pytest.raises(QueryError, match="k: expected at least 1, got 0"):
        similar_items(ITEMS, "i03", k=0)
