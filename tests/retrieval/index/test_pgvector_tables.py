"""Tables of vectors side by side in a real PostgreSQL."""

import threading

import numpy as np
import polars as pl
import psycopg
import pytest

from crosstower.errors import QueryError, RunError, ServeError
from crosstower.retrieval.index import pgvector_tables
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.pgvector_session import Session
from crosstower.retrieval.index.pgvector_tables import (
    Graph,
    VectorTable,
    build_table,
    drop_table,
    find_table,
    mark_changed,
)

GRAPH = Graph(m=4, ef_construction=16)
ITEMS = Catalogue([1, 2, 3], pl.DataFrame({"title": ["a", "b", None]}))
VECTORS = np.eye(3, dtype=np.float32)


def build(session: Session, vectors: np.ndarray = VECTORS, items: Catalogue = ITEMS) -> VectorTable:
    return build_table(session, "shop", items, vectors, GRAPH)


def names(session: Session) -> tuple[list[str], list[str]]:
    """Return the tables of vectors, and those that are listed."""
    found = session.run(
        lambda c: c.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'shop' ORDER BY tablename"
        ).fetchall()
    )
    listed = session.run(lambda c: c.execute("SELECT name FROM shop.indexes").fetchall())
    return [n for (n,) in found if n != "indexes"], sorted(n for (n,) in listed)


def test_versions_lie_side_by_side_and_equal_ones_share_a_table(postgres: str) -> None:
    session = Session(postgres)
    one, same, other = build(session), build(session), build(session, -VECTORS)
    assert one == same
    assert names(session) == (sorted([one.name, other.name]),) * 2
    session.run(lambda cursor: mark_changed(cursor, one))
    fresh = build(session)
    assert fresh.name == f"{one.name}_1"
    assert find_table(session, "shop", one.name) == one
    drop_table(session, one)
    assert one.name not in names(session)[0]
    with pytest.raises(RunError, match=f"no index 'shop.{one.name}'; build the index again"):
        find_table(session, "shop", one.name)
    session.close()


def test_a_build_that_fails_or_is_cut_leaves_nothing(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(postgres)
    before = [build(session).name]
    bad = Catalogue([1, 2], pl.DataFrame({"title": ["good", "a\0b"]}))
    with pytest.raises(QueryError, match="cannot store or compare a value"):
        build(session, np.eye(2, dtype=np.float32), bad)

    def cut(cursor: psycopg.Cursor[tuple[int]], *_: object) -> None:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(pgvector_tables, "_record", cut)
    with pytest.raises(ServeError):
        build(session, -VECTORS)
    assert names(session) == (before, before)
    session.close()


def test_builds_at_the_same_time_make_one_table(postgres: str) -> None:
    sessions, made = [Session(postgres) for _ in range(4)], list[str]()
    threads = [
        threading.Thread(target=lambda s=s: made.append(build(s).name))  # type: ignore[misc]
        for s in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert len(set(made)) == 1
    for session in sessions:
        session.close()


def test_vectors_that_no_graph_can_hold_are_refused(postgres: str) -> None:
    with pytest.raises(QueryError, match="width of at most 2,000, got 2,001"):
        build(Session(postgres), np.ones((3, 2_001), np.float32))


def test_a_database_without_any_index(postgres: str) -> None:
    with pytest.raises(RunError, match=r"shop\.indexes.*does not exist; build the index again"):
        find_table(Session(postgres), "shop", "items")
