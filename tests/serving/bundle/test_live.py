"""An open bundle with one stage alone, with any index, and rows that it cannot read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.index import Hits
from crosstower.retrieval.index.pgvector_session import URL
from crosstower.retrieval.index.registry import IndexItems, register_index
from crosstower.serving.bundle import make_bundle
from crosstower.serving.bundle.live import Live

from ...fixtures.funnels import Runs
from ...funnel.online.test_online_funnel import LISTING, funnel_of
from ..conftest import Start

pytestmark = pytest.mark.slow


def test_a_bundle_that_only_retrieves(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.retrieval], tmp_path / "b"))
    found = funnel_of(live).recommend(FunnelRequest(user=1, k=7))
    expected = blended.retrieval
    assert len(found.places) == 7
    assert found.predictions == {}
    assert funnel_of(live).query_columns == ["home_city", "budget", "wanted"]
    assert expected.recipe.retrieval is not None
    for work in (lambda: live.needs_rows, lambda: funnel_of(live).rank(FunnelRequest(), [1])):
        with pytest.raises(QueryError, match="only retrieves"):
            work()


def test_a_bundle_that_only_ranks(blended: Runs, tmp_path: Any) -> None:
    live = Live.open(make_bundle([blended.ranking], tmp_path / "b"))
    row = {"user_id": 5, "home_city": "Rome", "budget": 9, "wanted": "pool", **LISTING}
    found = live.needs_rows.rank(FunnelRequest(query={"budget": 10}), [row, {**row, "price": 500}])
    assert sorted(found.places.tolist()) == [0, 1]
    with pytest.raises(QueryError, match="rows: no column 'budget', which the ranker reads"):
        live.needs_rows.rank(FunnelRequest(), [{k: v for k, v in row.items() if k != "budget"}])
    with pytest.raises(QueryError, match="column 'price': expected a finite number"):
        live.needs_rows.rank(FunnelRequest(), [{**row, "price": "dear"}])
    with pytest.raises(QueryError, match="this bundle only ranks"):
        funnel_of(live)


@pytest.fixture
def vectors(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database for vectors."""
    monkeypatch.setenv(URL, postgres)
    return postgres


def test_a_database_that_does_not_reply_in_time_is_a_503(
    blended: Runs, start: Start, tmp_path: Path, vectors: str
) -> None:
    options = {"timeout": 0.3}
    made = make_bundle([blended.retrieval], tmp_path / "b", index="pgvector", index_options=options)
    client = start(made.folder, state="other")
    with psycopg.connect(vectors) as other:
        other.execute("LOCK TABLE crosstower_vectors.indexes")
        table = other.execute("SELECT name FROM crosstower_vectors.indexes").fetchall()[0][0]
        other.execute(f"LOCK TABLE crosstower_vectors.{table}".encode())
        refused = client.post("/v1/recommend", json={"user": 1})
        popular = client.post("/v1/recommend", json={"user": "unknown"})
    assert refused.status_code == 503
    assert "statement timeout" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert 'crosstower_refused_total{reason="index"} 1.0' in client.get("/metrics").text
    assert popular.status_code == 200  # needs no vectors
    assert client.post("/v1/recommend", json={"user": 1}).status_code == 200


def test_rows_with_other_columns_are_refused_before_they_are_read(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_args: Any, **_more: Any) -> None:
        raise AssertionError("a frame was built")

    monkeypatch.setattr("crosstower.funnel.online.row_ranker.pl.DataFrame", never)
    rows = [{f"key{n}": 1} for n in range(10_000)]
    with pytest.raises(QueryError, match=r"rows\[0\]: no column 'key0'; the ranker reads: .*city"):
        live.needs_rows.rank(FunnelRequest(), rows)
    with pytest.raises(QueryError, match=r"query: no column 'citi'; did you mean 'city'"):
        live.needs_rows.rank(FunnelRequest(query={"citi": 1}), [{"city": "Rome"}])
    with pytest.raises(QueryError, match=r"rows\[1\]: 'city' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"city": "Rome"}, {"city": {"a": 1}}])
    with pytest.raises(QueryError, match="'amenities' holds an object or a list of lists"):
        live.needs_rows.rank(FunnelRequest(), [{"amenities": [[1]]}])


@register_index("listed")
class Listed:
    """A third-party engine: a list of items in another order, without masks."""

    class Options(FrozenModel):
        """It has none."""

    def __init__(self, items: Catalogue, vectors: np.ndarray) -> None:
        self._items, self._vectors = items, vectors

    @staticmethod
    def from_items(items: IndexItems, options: Any) -> "Listed":
        del options
        back = np.arange(len(items.vectors))[::-1]
        return Listed(Catalogue(items.ids, items.attributes).take(back), items.vectors[back])

    @staticmethod
    def load(folder: str | Path) -> "Listed":
        return Listed(Catalogue.load(Path(folder)), np.load(Path(folder) / "listed.npy"))

    def save(self, folder: str | Path) -> None:
        Path(folder).mkdir()
        self._items.save(Path(folder))
        np.save(Path(folder) / "listed.npy", self._vectors)

    def search(
        self,
        queries: Any,
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        exact = ExactIndex.build(self._items.ids, self._vectors, self._items.attributes)
        return exact.search(queries, k, where=where, exclude=exclude)

    def add(self, ids: Any, vectors: Any, attributes: Any = None) -> None:
        raise AssertionError("the index is never changed")

    def remove(self, ids: Any) -> None:
        raise AssertionError("the index is never changed")


@pytest.fixture(params=["listed", "milvus", "pgvector"])
def engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """Name and options of an index engine."""
    if request.param == "pgvector":
        monkeypatch.setenv(URL, request.getfixturevalue("postgres"))
    options = {"uri": str(tmp_path / "items.db")} if request.param == "milvus" else {}
    return request.param, options


@pytest.mark.filterwarnings("ignore")  # of the packages of Milvus
def test_a_bundle_with_any_index_is_served(
    blended: Runs, start: Start, tmp_path: Path, engine: tuple[str, dict[str, Any]]
) -> None:
    kind, options = engine
    runs, out = [blended.retrieval, blended.ranking], tmp_path / "served"
    made = make_bundle(runs, out, index=kind, index_options=options, candidates=50)
    served, exact = start(made.folder, state="other"), start()
    new = {"listing_id": 10**6, "city": "Oslo", "price": 50.0, "amenities": ["pool"]}
    bodies: list[dict[str, Any]] = [
        {"user": 1},
        {"user": 5, "where": "city == 'Paris' and price < 150"},
        {"query": {"home_city": "Rome"}, "exclude": [3]},
        {"user": 5, "where": "city == 'Oslo'"},
    ]
    for _ in range(2):  # the second time with changed items
        answers = [
            [client.post("/v1/recommend", json=body).json()["items"] for body in bodies]
            for client in (served, exact)
        ]
        ids = [[[item["item_id"] for item in items] for items in answer] for answer in answers]
        assert ids[0] == ids[1]
        assert len(ids[0][0]) == 10
        for client in (served, exact):
            assert client.put("/v1/items", json={"items": [new]}).status_code == 200
            assert client.delete("/v1/items", params={"id": ids[1][0][0]}).status_code == 200
    assert ids[0][3] == [10**6]
