"""Vectors in a real PostgreSQL with pgvector, compared with the exact index."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest

from crosstower.errors import IndexUnavailableError, QueryError, RunError, ServeError
from crosstower.retrieval.index import pgvector
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.open import Index, open_index
from crosstower.retrieval.index.pgvector import PgvectorIndex
from crosstower.retrieval.index.pgvector_session import URL

from ...fixtures.postgres import PASSWORD, PostgresServer
from ...fixtures.tcp_proxy import TcpProxy

N, D = 300, 8
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


@pytest.fixture
def url(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(URL, postgres)
    return postgres


@pytest.fixture
def index(url: str) -> Iterator[PgvectorIndex]:
    built = PgvectorIndex.build(IDS, VECTORS, ATTRIBUTES)
    yield built
    built.close()


def tables(index: PgvectorIndex) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'crosstower_vectors'"
    found = index._session.run(lambda cursor: cursor.execute(query).fetchall())
    return sorted(name for (name,) in found if name != "indexes")


def test_it_finds_as_the_exact_index_does(index: PgvectorIndex) -> None:
    exact = ExactIndex.build(IDS, VECTORS, ATTRIBUTES)
    exclude = [["i1", "i2"], [], ["nobody"], IDS[:20]]
    for where in (None, "city == 'Paris' and price < 120", "item_id in ['i5', 'i7']", "price < 0"):
        found, truth = (i.search(QUERIES, 7, where=where, exclude=exclude) for i in (index, exact))
        for query in range(len(QUERIES)):
            assert found.ids(query).to_list() == truth.ids(query).to_list()
        np.testing.assert_allclose(found.scores, truth.scores, rtol=1e-5)


def test_items_are_added_replaced_and_removed(url: str, tmp_path: Path) -> None:
    one = PgvectorIndex.build([1, 2, 3], np.eye(3))
    one.remove([2, 99])
    one.add([3, 4], np.array([[0.0, 9.0, 0.0], [0.0, 5.0, 0.0]]))
    assert one.search(np.array([[0.0, 1.0, 0.0]]), 5).ids(0).to_list() == [3, 4, 1]
    assert len(one) == 3
    with pytest.raises(QueryError, match="expected width 3, got 2"):
        one.add([5], np.ones((1, 2)))
    with pytest.raises(QueryError, match="attributes: expected none"):
        one.add([5], np.ones((1, 3)), pl.DataFrame({"x": [1]}))
    with pytest.raises(QueryError, match="holds integers, got text"):
        one.add(["x"], np.ones((1, 3)))
    one.save(tmp_path / "index")
    one.close()
    again = open_index(tmp_path / "index")
    assert isinstance(again, PgvectorIndex)
    assert len(again) == 3
    fresh = Index.build([1, 2, 3], np.eye(3), kind="pgvector")  # not the changed table
    assert isinstance(fresh, PgvectorIndex)
    assert fresh.search(np.array([[0.0, 1.0, 0.0]]), 1).ids(0).to_list() == [2]
    assert len(tables(again)) == 2
    again.drop()
    assert tables(fresh) == [fresh.address.table]
    with pytest.raises(RunError, match=r"no index 'crosstower_vectors\.items_.*build the index ag"):
        open_index(tmp_path / "index")


def test_a_rare_condition_and_deep_lists_are_complete(url: str) -> None:
    count, rare = 6_000, np.arange(6_000) % 1_500 == 7  # 4 items
    x = RANDOM.normal(size=(count, D)).astype(np.float32)
    attributes = pl.DataFrame({"rare": rare, "long": ["x" * 600] * count})
    options = PgvectorIndex.Options(ef_search=20, m=4, ef_construction=8)
    one = PgvectorIndex.build(range(count), x, attributes, options=options)
    exact = ExactIndex.build(range(count), x, attributes)
    plan = one._session.run(
        lambda c: c.execute(
            f"EXPLAIN SELECT id FROM {one._table.sql} ORDER BY vector <#> %s LIMIT 9", [x[0]]
        ).fetchall()
    )
    assert "Index Scan" in plan[0][0] + plan[1][0]  # the graph is used
    for k, where in ((4, "rare"), (5_000, "not rare"), (5_999, None)):
        found, truth = (i.search(QUERIES[:1], k, where=where) for i in (one, exact))
        assert len(found.ids(0)) == len(truth.ids(0))
        if k == 4:
            assert found.ids(0).to_list() == truth.ids(0).to_list()
    one.close()


def test_few_matching_items_are_scored_one_by_one(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "_FEW", 500)
    count = 6_000
    x = RANDOM.normal(size=(count, D)).astype(np.float32)
    attributes = pl.DataFrame({"number": np.arange(count)})
    options = PgvectorIndex.Options(ef_search=10, m=2, ef_construction=4)
    one = PgvectorIndex.build(range(count), x, attributes, options=options)
    exact, queries = ExactIndex.build(range(count), x, attributes), x[:20]

    def recall(where: str) -> float:
        found, truth = (i.search(queries, 10, where=where) for i in (one, exact))
        pairs = [(set(found.ids(n)), set(truth.ids(n))) for n in range(len(queries))]
        return float(np.mean([len(a & b) / 10 for a, b in pairs]))

    assert recall("number < 500") == 1.0
    assert recall("number < 5_500") < 1.0  # by a poor graph, which differs with each build
    before = len(one.search(queries[:1], 600, where="number < 500").ids(0))
    one.add([count], x[:1], attributes[:1])
    assert len(one.search(queries[:1], 600, where="number < 500").ids(0)) == before + 1
    one.close()


def test_wrong_queries_are_refused(index: PgvectorIndex) -> None:
    with pytest.raises(QueryError, match="did you mean 'price'"):
        index.search(QUERIES, 3, where="prise < 3")
    with pytest.raises(QueryError, match=r"expected \[queries, 8\]"):
        index.search(np.ones((1, 3)), 3)
    with pytest.raises(QueryError, match="1 lists for 4 queries"):
        index.search(QUERIES, 3, exclude=[[]])
    with pytest.raises(QueryError, match="db_schema"):
        Index.build([1], np.ones((1, 2)), kind="pgvector", db_schema='x"; DROP TABLE y')


def test_a_password_is_neither_stored_nor_shown(
    index: PgvectorIndex, url: str, tmp_path: Path
) -> None:
    index.save(tmp_path / "index")
    assert PASSWORD in url
    assert PASSWORD not in (tmp_path / "index" / "index.json").read_text()
    assert PASSWORD not in str(PgvectorIndex.Options(url=url).model_dump())


@pytest.mark.parametrize("name", ["db_schema", "table"])
def test_names_in_a_saved_address_are_never_sql(
    index: PgvectorIndex, tmp_path: Path, name: str
) -> None:
    index.save(tmp_path / "index")
    path = tmp_path / "index" / "index.json"
    own = json.loads(path.read_text())[name]
    path.write_text(path.read_text().replace(f'"{own}"', f'"{own}.x; DROP TABLE y"'))
    with pytest.raises(RunError, match=r"should match pattern.*build the index again"):
        open_index(path.parent)


@pytest.mark.slow
def test_a_database_that_swallows_every_packet_is_given_up(
    url: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = TcpProxy(postgres_server.port)
    monkeypatch.setenv(URL, url.replace(str(postgres_server.port), str(proxy.port)))
    monkeypatch.setattr(pgvector, "_GRACE", 0.2)
    one = PgvectorIndex.build([1], np.ones((1, 2)), options=PgvectorIndex.Options(timeout=0.2))
    proxy.mode = "hold"
    with pytest.raises(IndexUnavailableError, match=f"127.0.0.1:{proxy.port}"):
        one.search(np.ones((1, 2)), 1)
    proxy.close()


def test_a_table_that_vanishes_is_no_error_of_the_client(index: PgvectorIndex, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(f"DROP TABLE {index._table.sql}".encode())
    with pytest.raises(IndexUnavailableError, match=r"does not exist; build the index again"):
        index.search(QUERIES, 3)


def test_a_search_that_waits_too_long_is_an_error_of_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = PgvectorIndex.build([1], np.ones((1, 2)), options=PgvectorIndex.Options(timeout=0.05))
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE {one._table.sql}".encode())
        with pytest.raises(ServeError, match="statement timeout"):
            one.search(np.ones((1, 2)), 1)
    assert one.search(np.ones((1, 2)), 1).ids(0).to_list() == [1]
    one.close()
