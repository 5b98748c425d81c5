"""Milvus Lite is the engine itself, in a file; a server is spoken to in the same way."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError, RunError, ServeError
from crosstower.retrieval.index import milvus
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.milvus import MilvusIndex
from crosstower.retrieval.index.open import open_index

pytestmark = pytest.mark.filterwarnings("ignore")  # of the engine's own packages
N, D = 200, 8
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(N, D)).astype(np.float32)
QUERIES = RANDOM.normal(size=(4, D)).astype(np.float32)
IDS = [f"i{i}" for i in range(N)]
ATTRIBUTES = pl.DataFrame(
    {
        "city": [["Paris", "Rome", None][i] for i in RANDOM.integers(0, 3, N)],
        "price": [None if i % 9 == 0 else float(i) for i in range(N)],
        "pool": RANDOM.random(N) < 0.5,
        "tags": [["a", "b"][: i % 3] for i in range(N)],
    },
    schema_overrides={"tags": pl.List(pl.String)},
)
FILTERS = [
    "city == 'Paris' and price < 120",
    "not (city == 'Paris')",
    "not (price > 50 or city != 'Rome')",
    "'a' in tags and 'b' not in tags",
    "city in ['Rome', 'Oslo'] or not pool",
    "city not in ['Rome']",
    "not (20 < price <= 90) and pool",
    "pool == false",
    "item_id == 'i5' or price >= 190",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusIndex]:
    uri = str(tmp_path_factory.mktemp("milvus") / "items.db")
    table = ATTRIBUTES.with_columns(item_id=pl.Series(IDS))
    built = MilvusIndex.build(uri, "items", IDS, VECTORS, table)
    yield built
    built.close()


@pytest.fixture(scope="module")
def exact() -> ExactIndex:
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.mark.parametrize("where", [None, *FILTERS])
def test_it_finds_as_the_exact_index_does(
    index: MilvusIndex, exact: ExactIndex, where: str | None
) -> None:
    exclude = [["i1", "i2"], [], ["nobody"], IDS[:20]]
    found, truth = (i.search(QUERIES, 7, where=where, exclude=exclude) for i in (index, exact))
    for query in range(len(QUERIES)):
        assert found.ids(query).to_list() == truth.ids(query).to_list()
    np.testing.assert_allclose(found.scores, truth.scores, rtol=1e-5)


def test_many_exclusions_are_left_to_the_engine(
    index: MilvusIndex, exact: ExactIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "_FEW", 5)
    exclude = [IDS[:150], [], ["nobody"], IDS[100:]]
    for where in (None, "city == 'Paris' or pool"):
        found, truth = (i.search(QUERIES, 7, where=where, exclude=exclude) for i in (index, exact))
        for query in range(len(QUERIES)):
            assert found.ids(query).to_list() == truth.ids(query).to_list()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Milvus Lite that serves gRPC; one that does not come up is started again."""
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1"]
        folder = tmp_path_factory.mktemp("served")
        with subprocess.Popen(
            [*command, "--data-dir", str(folder), "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            listens = listening(port, process)
            if listens:
                yield f"http://127.0.0.1:{port}"
            process.kill()
        if listens:
            return
    pytest.fail("Milvus Lite did not start")


def listening(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until something listens on a port; False if it takes more than a minute."""
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def test_a_server_is_searched_as_a_file_is(server: str, exact: ExactIndex, tmp_path: Path) -> None:
    built = MilvusIndex.build(server, "items", IDS, VECTORS, ATTRIBUTES)
    built.save(tmp_path / "index")
    built.close()
    again = open_index(tmp_path / "index")
    assert isinstance(again, MilvusIndex)
    exclude = [IDS[:20], [], ["nobody"], ["i1"]]
    for where in (None, FILTERS[0], FILTERS[3]):
        found, truth = (i.search(QUERIES, 7, where=where, exclude=exclude) for i in (again, exact))
        for query in range(len(QUERIES)):
            assert found.ids(query).to_list() == truth.ids(query).to_list()
    again.remove(["i1"])
    assert len(again) == N - 1
    again._client.drop_collection("items")
    with pytest.raises(ServeError, match=r"http://127\.0\.0\.1:.*see its server"):
        again.search(QUERIES, 3)
    again.close()


def test_items_are_added_replaced_and_removed(tmp_path: Path) -> None:
    one = MilvusIndex.build(str(tmp_path / "a.db"), "b", [1, 2, 3], np.eye(3))
    one.remove([2])
    one.add([3, 4], np.array([[0.0, 9.0, 0.0], [0.0, 5.0, 0.0]]))
    assert one.search(np.array([[0.0, 1.0, 0.0]]), 5).ids(0).to_list() == [3, 4, 1]
    assert len(one) == 3
    with pytest.raises(QueryError, match="expected width 3, got 2"):
        one.add([5], np.ones((1, 2)))
    with pytest.raises(QueryError, match="attributes: expected"):
        one.add([5], np.ones((1, 3)), pl.DataFrame({"x": [1]}))
    with pytest.raises(RunError, match="collection 'b' already exists"):
        MilvusIndex.build(str(tmp_path / "a.db"), "b", [1], np.ones((1, 3)))
    one.save(tmp_path / "index")
    one.close()
    again = open_index(tmp_path / "index")
    assert isinstance(again, MilvusIndex)
    assert len(again) == 3
    again.close()


def test_wrong_queries_are_refused(index: MilvusIndex) -> None:
    with pytest.raises(QueryError, match="did you mean 'price'"):
        index.search(QUERIES, 3, where="prise < 3")
    with pytest.raises(QueryError, match="column 'price' holds Float64, got 'x'"):
        index.search(QUERIES, 3, where="price == 'x'")
    with pytest.raises(QueryError, match="Milvus cannot compute it"):
        index.search(QUERIES, 3, where="distance_km(price, price, 1, 2) < 3")
    with pytest.raises(QueryError, match=r"expected \[queries, 8\]"):
        index.search(np.ones((1, 3)), 3)
    with pytest.raises(QueryError, match="1 lists for 4 queries"):
        index.search(QUERIES, 3, exclude=[[]])
    with pytest.raises(QueryError, match="at most 16,384 items, got 20,000"):
        index.search(QUERIES, 20_000)


def test_collections_that_are_not_there_or_not_ours(tmp_path: Path, index: MilvusIndex) -> None:
    with pytest.raises(RunError, match="no collection 'other'; build the index first"):
        MilvusIndex(index.address.model_copy(update={"collection": "other"}))
    index._client.create_collection("plain", dimension=4)
    with pytest.raises(RunError, match="was not created by crosstower"):
        MilvusIndex(index.address.model_copy(update={"collection": "plain"}))


def test_a_token_is_never_written(
    tmp_path: Path, index: MilvusIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(milvus.TOKEN, "root:secret")
    index.save(tmp_path / "index")
    assert "secret" not in (tmp_path / "index" / "index.json").read_text()


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(milvus.importlib, "import_module", missing)
    with pytest.raises(QueryError, match=r"crosstower\[milvus\]"):
        MilvusIndex.build("a.db", "b", [1], np.ones((1, 3)))
