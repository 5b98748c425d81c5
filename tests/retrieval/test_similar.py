from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.fitting.fit import fit
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.similar import similar_items

from ..fixtures.films import recipe

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(30, 6)).astype(np.float32)
VECTORS[7] = 0.0  # has no direction
INDEX = ExactIndex.build(
    [f"i{n:02d}" for n in range(30)], VECTORS, pl.DataFrame({"even": [1, 0] * 15})
)
ITEMS = OnlineItems(INDEX.catalogue, INDEX, lambda: VECTORS)


class Known:
    """The encoder of a tower that reads a number."""

    may_be_unseen = False


KNOWN: Any = Known()


@pytest.fixture(scope="module")
def of_ids(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    """A retriever whose item tower reads the id alone; the last three films have no rows."""
    folder = tmp_path_factory.mktemp("ids")
    columns = {
        "had": {"kind": "sequence", "table": "film", "max_len": 5},
        "film": "categorical",
    }
    changes = {"schema": {"columns": columns}, "model": {"item": ["film"]}}
    chosen = recipe(folder, training={"epochs": 1}, **changes)
    return Retriever.open(fit(chosen, out=folder / "run", quiet=True))


@pytest.mark.parametrize("where", [None, "even == 1"])
def test_the_most_similar_items_are_those_of_the_largest_cosine(where: str | None) -> None:
    places, scores = similar_items(ITEMS, KNOWN, "i03", k=5, where=where)
    wide = VECTORS.astype(np.float64)
    norm = np.maximum(np.linalg.norm(wide, axis=1), 1e-12)
    cosine = wide @ wide[3] / (norm * norm[3])
    order = [n for n in np.argsort(-cosine) if n != 3 and (where is None or n % 2 == 0)]
    assert places.tolist() == order[:5]
    np.testing.assert_allclose(scores, cosine[order[:5]], rtol=1e-5)


def test_an_item_that_is_not_there_and_a_wrong_number_are_refused() -> None:
    with pytest.raises(QueryError, match=r"no item 'i3' among 30$"):
        similar_items(ITEMS, KNOWN, "i3", k=5)
    with pytest.raises(QueryError, match=r"no item 'i3' among 30; did you mean 'i23'\?"):
        similar_items(ITEMS, KNOWN, "i3", k=5, known=pl.Series(["i23", "i99"]))
    with pytest.raises(QueryError, match="k: expected at least 1, got 0"):
        similar_items(ITEMS, KNOWN, "i03", k=0)


def test_an_item_without_rows_is_similar_to_none_if_the_tower_reads_ids_alone(
    of_ids: Retriever,
) -> None:
    assert of_ids.similar("f03", k=5).height == 5
    with pytest.raises(QueryError, match=r"no item 'f3' among 60; did you mean 'f\d3'\?"):
        of_ids.similar("f3")
    with pytest.raises(QueryError, match="item 'f58': has no vector"):
        of_ids.similar("f58", k=5)


def test_a_new_item_is_similar_to_others_once_a_vector_was_put_for_it(of_ids: Retriever) -> None:
    catalogue, encoder = OnlineCatalogue(of_ids, None), of_ids.item_encoder
    catalogue.put(catalogue.encode([{"film": "f03"}, {"film": "new"}]))
    assert len(similar_items(catalogue.items, encoder, "f03", k=5)[0]) == 5
    with pytest.raises(QueryError, match="item 'new': has no vector"):
        similar_items(catalogue.items, encoder, "new", k=5)
    twin = of_ids.vectors[of_ids.catalogue.places_of(["f03"])]
    catalogue.put_vectors(["new"], twin)
    found = similar_items(catalogue.items, encoder, "new", k=1)[0]
    assert catalogue.items.ids(found) == ["f03"]
