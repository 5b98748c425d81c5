"""Tables of item vectors in PostgreSQL, side by side, and the table `indexes` that lists them.

A table appears in one transaction with its rows, its indexes and its line in `indexes`, so a build
that was interrupted leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import QueryError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.pgvector_filters import Column, columns_of
from crosstower.retrieval.index.pgvector_session import LOCK, Session
from crosstower.retrieval.index.vectors import Floats

WIDEST = 2_000  # of an HNSW index of pgvector
_BATCH, _LONGEST_KEY = 20_000, 500
_SECONDS = 30.0  # longest wait for a response when an index is opened
_MEMORY = 64, 4_096  # megabytes for building the graph, least and most


class Graph(FrozenModel):
    """Parameters of an HNSW graph (Malkov and Yashunin, 2016).

    Args:
        m: links per item and layer.
        ef_construction: candidates per item while the graph is built.

    """

    m: int
    ef_construction: int


class VectorTable(FrozenModel):
    """A table of item vectors.

    Args:
        db_schema: schema of the database.
        name: of the table.
        width: D of the vectors.
        text_ids: whether ids are text; else integers.
        columns: attributes, stored as a0, a1 and so on.

    """

    db_schema: str
    name: str
    width: int
    text_ids: bool
    columns: tuple[Column, ...]

    @property
    def sql(self) -> str:
        """The qualified name; both parts are checked or made here, so neither needs quotes."""
        return f"{self.db_schema}.{self.name}"

    @property
    def places(self) -> dict[str, tuple[str, Column]]:
        """Name in the table and column, by name of the attribute."""
        return {column.name: (f"a{n}", column) for n, column in enumerate(self.columns)}

    @property
    def names(self) -> list[str]:
        """Names of all columns in the table."""
        return ["id", "vector", *(f"a{n}" for n in range(len(self.columns)))]

    def rows(self, items: Catalogue, ids: list[Any], vectors: Floats) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of items."""
        for first in range(0, len(ids), _BATCH):
            end = min(first + _BATCH, len(ids))
            columns = [
                column.cells(items.attributes[column.name][first:end]) for column in self.columns
            ]
            yield from zip(ids[first:end], vectors[first:end], *columns, strict=True)


def find_table(session: Session, schema: str, name: str) -> VectorTable:
    """Return a table that was built.

    Raises:
        RunError: there is none.

    """
    query = f"SELECT width, text_ids, columns FROM {schema}.indexes WHERE name = %s"  # noqa: S608
    found = session.run(
        lambda cursor: cursor.execute(query, [name]).fetchone(), again=True, seconds=_SECONDS
    )
    if found is None:
        raise RunError(f"{session.shown}: no index '{schema}.{name}'; build the index again")
    columns = tuple(Column.model_validate(column) for column in found[2])
    return VectorTable(
        db_schema=schema, name=name, width=found[0], text_ids=found[1], columns=columns
    )


def build_table(
    session: Session, schema: str, items: Catalogue, vectors: Floats, graph: Graph
) -> VectorTable:
    """Return a table of items; one of the same content that was never changed is used again.

    Args:
        session: of the database.
        schema: of the database; made if it is missing.
        items: ids and attributes of N items.
        vectors: `[N, D]`.
        graph: to build.

    Raises:
        QueryError: the vectors are too wide, or an attribute cannot be stored.

    """
    if vectors.shape[1] > WIDEST:
        raise QueryError(
            f"item vectors: pgvector indexes a width of at most {WIDEST:,}, got"
            f" {vectors.shape[1]:,}"
        )
    columns, text = tuple(columns_of(items.attributes)), items.ids.dtype == pl.String
    digest = _digest(items, vectors, graph)
    session.run(lambda cursor: _make_schema(cursor, schema))

    def build(cursor: Any) -> VectorTable:
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
        # One build of a content at a time; builds of others continue.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [digest])
        cursor.execute(
            f"SELECT name, changed FROM {schema}.indexes WHERE digest = %s ORDER BY name",  # noqa: S608
            [digest],
        )
        same = cursor.fetchall()
        kept = [name for name, changed in same if not changed]
        name = kept[0] if kept else f"items_{digest[:16]}" + (f"_{len(same)}" if same else "")
        table = VectorTable(
            db_schema=schema, name=name, width=vectors.shape[1], text_ids=text, columns=columns
        )
        if not kept:
            _fill(cursor, table, items, vectors, graph)
            _record(cursor, table, digest, len(vectors))
        return table

    return session.run(build)


def _make_schema(cursor: Any, schema: str) -> None:
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    if cursor.execute("SELECT to_regclass(%s)", [f"{schema}.indexes"]).fetchone()[0] is None:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        cursor.execute(
            f"CREATE TABLE {schema}.indexes (name text PRIMARY KEY, digest text NOT NULL,"
            " width int NOT NULL, text_ids boolean NOT NULL, columns jsonb NOT NULL,"
            " items bigint NOT NULL, changed boolean NOT NULL DEFAULT false,"
            " created timestamptz NOT NULL DEFAULT now())"
        )


def _fill(cursor: Any, table: VectorTable, items: Catalogue, vectors: Floats, graph: Graph) -> None:
    kinds = ["text" if table.text_ids else "int8", "vector", *(c.sql_type for c in table.columns)]
    sql_kinds = [
        'text COLLATE "C"' if kind == "text" else kind
        for kind in [kinds[0], f"vector({table.width})", *kinds[2:]]
    ]
    spelt = ", ".join(f"{name} {kind}" for name, kind in zip(table.names, sql_kinds, strict=True))
    cursor.execute(f"CREATE TABLE {table.sql} ({spelt}, PRIMARY KEY (id))")
    ids = items.ids.to_list()
    with cursor.copy(f"COPY {table.sql} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(kinds)
        for row in table.rows(items, ids, vectors):
            copy.write_row(row)
    megabytes = len(ids) * (4 * table.width + 16 * graph.m + 200) // 2**20
    memory = min(max(megabytes * 5 // 4, _MEMORY[0]), _MEMORY[1])
    cursor.execute("SELECT set_config('maintenance_work_mem', %s, true)", [f"{memory}MB"])
    cursor.execute(
        f"CREATE INDEX ON {table.sql} USING hnsw (vector vector_ip_ops)"
        f" WITH (m = {graph.m}, ef_construction = {graph.ef_construction})"
    )
    for place, column in table.places.values():
        if _is_short(items.attributes[column.name]):
            method = "gin" if column.many else "btree"
            cursor.execute(f"CREATE INDEX ON {table.sql} USING {method} ({place})")
    cursor.execute(f"ANALYZE {table.sql}")


def _record(cursor: Any, table: VectorTable, digest: str, items: int) -> None:
    columns = json.dumps([column.model_dump() for column in table.columns])
    cursor.execute(
        f"INSERT INTO {table.db_schema}.indexes (name, digest, width, text_ids, columns, items)"  # noqa: S608
        " VALUES (%s, %s, %s, %s, %s::jsonb, %s)",
        [table.name, digest, table.width, table.text_ids, columns, items],
    )


def _digest(items: Catalogue, vectors: Floats, graph: Graph) -> str:
    """Return the SHA-256 of a table's contents."""
    found = hashlib.sha256(graph.model_dump_json().encode())
    table = pl.DataFrame([*items.attributes.get_columns(), items.ids.alias("\0id")])
    found.update(table.write_ipc(None).getbuffer())
    found.update(np.ascontiguousarray(vectors).data)
    return found.hexdigest()


def _is_short(values: pl.Series) -> bool:
    """Return whether an index can hold all values: keys of PostgreSQL are at most 2.7 kB."""
    if isinstance(values.dtype, pl.String | pl.Categorical | pl.Enum):
        longest = values.cast(pl.String).str.len_bytes().max()
        return not isinstance(longest, int) or longest <= _LONGEST_KEY
    if isinstance(values.dtype, pl.List | pl.Array):
        return _is_short(values.explode())
    return values.dtype != pl.Binary


def mark_changed(cursor: Any, table: VectorTable) -> None:
    """Record that a table no longer has the content that it was built with."""
    query = f"UPDATE {table.db_schema}.indexes SET changed = true WHERE name = %s"  # noqa: S608
    cursor.execute(query, [table.name])


def drop_table(session: Session, table: VectorTable) -> None:
    """Delete a table and its line in `indexes`."""

    def drop(cursor: Any) -> None:
        cursor.execute(f"DELETE FROM {table.db_schema}.indexes WHERE name = %s", [table.name])  # noqa: S608
        cursor.execute(f"DROP TABLE IF EXISTS {table.sql}")

    session.run(drop)
