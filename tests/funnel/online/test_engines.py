"""The online funnel on indexes of any engine: the lists are those of the exact index."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstower.funnel.funnel import Funnel
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.index import Hits, ItemIndex
from crosstower.retrieval.index.milvus import MilvusIndex
from crosstower.retrieval.index.pgvector import PgvectorIndex
from crosstower.retrieval.index.pgvector_session import URL
from crosstower.retrieval.retriever import Retriever

from ...fixtures.funnels import Runs

NEW = {"listing_id": 10**6, "city": "Paris", "price": 50.0, "amenities": ["wifi", "pool"]}
REQUESTS = [
    FunnelRequest(user=1),
    FunnelRequest(user=5, where="city == 'Paris' and price < 150"),
    FunnelRequest(query={"home_city": "Rome"}, exclude=(3, 77, "x")),
    FunnelRequest(),  # popular items
    FunnelRequest(user=7, where="city == 'Nowhere'"),
]


class Backwards:
    """A third-party index that keeps its items in another order and knows no masks."""

    def __init__(self, catalogue: Catalogue, vectors: np.ndarray) -> None:
        back = np.arange(len(vectors))[::-1]
        self._catalogue, self._vectors = catalogue.take(back), vectors[back]

    def search(
        self,
        queries: Any,
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        places = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            allowed = self._catalogue.allowed(where)
            if exclude is not None:
                allowed = allowed[~np.isin(allowed, self._catalogue.places_of(exclude[row]))]
            found = self._vectors[allowed] @ query
            best = np.argsort(-found, kind="stable")[:k]
            places[row, : len(best)], scores[row, : len(best)] = allowed[best], found[best]
        return Hits(self._catalogue, places, scores)

    def add(self, ids: Any, vectors: Any, attributes: Any = None) -> None:
        raise AssertionError("the index is never changed")

    def remove(self, ids: Any) -> None:
        raise AssertionError("the index is never changed")

    def save(self, folder: Any) -> None:
        raise AssertionError("the index is never saved")


def online(funnel: Funnel, index: ItemIndex | None = None) -> OnlineFunnel:
    blends = Blends(funnel.scorer.blend, funnel.scorer.encoder.schema.kinds())
    ranker = OnlineRanker(funnel.rows, funnel.scorer, blends, OnlineCounters.of(funnel.ranking))
    return OnlineFunnel(funnel.retriever, ranker, candidates=funnel.candidates, index=index)


@pytest.fixture(scope="module")
def funnel(blended: Runs) -> Funnel:
    return Funnel.open(blended.retrieval, blended.ranking, candidates=50)


@pytest.fixture(params=["backwards", "milvus", "pgvector"])
def index(
    request: pytest.FixtureRequest,
    funnel: Funnel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ItemIndex]:
    catalogue, vectors = funnel.retriever.catalogue, funnel.retriever.vectors
    if request.param == "backwards":
        yield Backwards(catalogue, vectors)
        return
    built: MilvusIndex | PgvectorIndex
    if request.param == "milvus":
        uri = str(tmp_path / "items.db")
        built = MilvusIndex.build(uri, "items", catalogue.ids, vectors, catalogue.attributes)
    else:
        monkeypatch.setenv(URL, request.getfixturevalue("postgres"))
        built = PgvectorIndex.build(catalogue.ids, vectors, catalogue.attributes)
    yield built
    built.close()


def ids_of(funnel: OnlineFunnel, request: FunnelRequest) -> list[Any]:
    return funnel.catalogue.items.ids(funnel.recommend(request).places)


@pytest.mark.filterwarnings("ignore")  # of the engine's own packages
def test_every_engine_gives_the_lists_of_the_exact_index(funnel: Funnel, index: ItemIndex) -> None:
    served, exact = online(funnel, index), online(funnel)
    for request in REQUESTS:
        assert ids_of(served, request) == ids_of(exact, request)
    gone = ids_of(exact, REQUESTS[0])[:2]
    for one in (served, exact):  # changes are the funnel's own, not the engine's
        one.catalogue.put(one.catalogue.encode([NEW, NEW | {"listing_id": 7, "city": "Oslo"}]))
        one.catalogue.delete(gone)
    for request in REQUESTS:
        found = ids_of(served, request)
        assert found == ids_of(exact, request)
        assert not set(gone) & set(found)
    assert ids_of(served, FunnelRequest(user=5, k=1, where="city == 'Oslo'")) == [7]
    for item in (77, 10**6):
        near = [one.similar(item, k=5) for one in (served, exact)]
        assert near[0].places.tolist() == near[1].places.tolist()


@pytest.mark.filterwarnings("ignore")
def test_an_index_of_a_run_in_another_engine_serves_the_funnel(
    funnel: Funnel, index: ItemIndex
) -> None:
    other = Retriever.open(funnel.retriever.run)
    other.__dict__["index"] = index  # as if `crosstower index` had built it
    served = Funnel(other, funnel.ranking, funnel.scorer, funnel.candidates)
    assert served.recommend(1, k=50)["item_id"].equals(funnel.recommend(1, k=50)["item_id"])
