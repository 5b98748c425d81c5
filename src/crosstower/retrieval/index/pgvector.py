"""An index in PostgreSQL with pgvector, for vectors that several machines share.

The database searches, filters and stores; this adapter speaks to it. It needs the packages psycopg
and pgvector, and pgvector 0.8 or newer in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_serializer

from crosstower.errors import IndexUnavailableError, QueryError, RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.external import checked_items, engine_ids, hits_of
from crosstower.retrieval.index.index import Hits, check_queries
from crosstower.retrieval.index.pgvector_filters import Column, columns_of, sql_filter
from crosstower.retrieval.index.pgvector_session import Session, chosen_url, without_secrets
from crosstower.retrieval.index.pgvector_tables import (
    Graph,
    build_table,
    drop_table,
    find_table,
    mark_changed,
)
from crosstower.retrieval.index.registry import IndexItems, register_index
from crosstower.storage.documents import read_document
from crosstower.storage.files import new_folder

_SCHEMA = r"[a-z_][a-z0-9_]{0,62}"
_MOST_CANDIDATES = 1_000  # that pgvector keeps in a search
_SETTINGS = (
    "SELECT set_config('hnsw.ef_search', %s, true), set_config('statement_timeout', %s, true),"
    " set_config('hnsw.iterative_scan', 'strict_order', true), set_config('jit', 'off', true)"
)
_EXACT = "SELECT set_config('enable_indexscan', 'off', true)"
_FEW = 10_000  # matching items that are scored one by one
_MOST_CONDITIONS = 1_000
_GRACE = 3.0  # seconds beyond the server's own limit


class PgvectorAddress(FrozenModel):
    """Location of an index; contents of `index.json`. Passwords are only in the environment.

    The names become SQL text, so they have the form of those that `build` makes.
    """

    format: Literal[1] = 1
    kind: Literal["pgvector"] = "pgvector"
    url: str
    db_schema: str = Field(pattern=f"^{_SCHEMA}$")
    table: str = Field(pattern=r"^items_[0-9a-f]{16}(_[0-9]+)?$")
    ef_search: int
    timeout: float
    width: int | None = None
    model: str | None = None


@register_index("pgvector")
class PgvectorIndex:
    """Items in a table of PostgreSQL: id, vector, and a column per attribute.

    `Index.build(ids, vectors, kind="pgvector")` makes one in the database that the environment
    variable CROSSTOWER_PGVECTOR_URL names. The graph is HNSW with inner products. Up to 10,000
    items that fulfil a condition are scored one by one instead, and so are all of them if the graph
    finds fewer than k.

    It needs the extra "postgres", and a database with pgvector.

    >>> options = PgvectorIndex.Options(url="postgresql://shop@localhost/shop", m=32)
    >>> vectors = [[1.0, 0.0], [0.0, 1.0]]
    >>> index = PgvectorIndex.build([7, 9], vectors, options=options)  # doctest: +SKIP
    >>> index.search(vectors[1:], k=1).ids(0).to_list()  # doctest: +SKIP
    [9]

    Args:
        address: database, table and settings of the search.
        session: of the database; a new one if None.

    Raises:
        QueryError: there is no address of a database, or a package is not installed.
        RunError: there is no such table.
        IndexUnavailableError: the database cannot be reached.

    """

    class Options(FrozenModel):
        """Options of the engine."""

        url: str | None = Field(
            default=None,
            description="postgresql://USER@HOST/DATABASE; CROSSTOWER_PGVECTOR_URL comes first.",
        )
        db_schema: str = Field(
            default="crosstower_vectors",
            pattern=f"^{_SCHEMA}$",
            description="Schema of the tables; made if it is missing.",
        )
        m: int = Field(default=16, ge=2, le=100, description="Links per item.")
        ef_construction: int = Field(
            default=128, ge=4, le=1_000, description="Candidates per item of the build."
        )
        ef_search: int = Field(
            default=100, ge=1, le=_MOST_CANDIDATES, description="Candidates of a search."
        )
        timeout: float = Field(default=10.0, gt=0, description="Seconds of a search.")

        @field_serializer("url")
        def _shown(self, url: str | None) -> str | None:
            return None if url is None else without_secrets(url)

    def __init__(self, address: PgvectorAddress, session: Session | None = None) -> None:
        self.address = address
        self._session = session or Session(chosen_url(address.url))
        self._table = find_table(self._session, address.db_schema, address.table)
        self._few: dict[tuple[str, str], bool] = {}

    @staticmethod
    def build(
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
        *,
        options: PgvectorIndex.Options | None = None,
    ) -> PgvectorIndex:
        """Make a table of items; one of the same content that was never changed is used again.

        Args:
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite, D at most 2,000.
            attributes: columns to filter by, a row per item.
            options: of the engine.

        Raises:
            QueryError: ids, vectors and attributes do not fit together, an attribute cannot be
                stored, there is no address, or a package is not installed.
            RunError: the database has no pgvector, or refuses the table.
            IndexUnavailableError: the database cannot be reached.

        """
        chosen = options or PgvectorIndex.Options()
        items, x = checked_items(ids, vectors, attributes)
        url, schema = chosen_url(chosen.url), chosen.db_schema
        session = Session(url)
        graph = Graph(m=chosen.m, ef_construction=chosen.ef_construction)
        table = build_table(session, schema, items, x, graph)
        address = PgvectorAddress(
            url=without_secrets(url),
            db_schema=schema,
            table=table.name,
            ef_search=chosen.ef_search,
            timeout=chosen.timeout,
        )
        return PgvectorIndex(address, session)

    @staticmethod
    def from_items(items: IndexItems, options: PgvectorIndex.Options) -> PgvectorIndex:
        """Build the index as a registered engine; see `build`."""
        return PgvectorIndex.build(items.ids, items.vectors, items.attributes, options=options)

    @staticmethod
    def load(folder: str | Path) -> PgvectorIndex:
        """Connect to the table that `save` wrote the address of.

        CROSSTOWER_PGVECTOR_URL, if set, names the database in place of the address.

        Raises:
            RunError: the file is damaged, or the table is missing.
            IndexUnavailableError: the database cannot be reached.

        """
        path, again = Path(folder) / "index.json", "build the index again"
        read = read_document(path, PgvectorAddress, newest=1, error=RunError, again=again)
        return PgvectorIndex(read)

    def __len__(self) -> int:
        """Return the number of items."""
        query = f"SELECT count(*) FROM {self._table.sql}"  # noqa: S608 - a name of our own
        counted = self._session.run(
            lambda cursor: cursor.execute(query).fetchone(), again=True, seconds=self._seconds
        )
        return int(counted[0])

    def search(
        self,
        queries: NDArray[Any],
        k: int,
        *,
        where: str | None = None,
        exclude: Sequence[Any] | None = None,
    ) -> Hits:
        """Return the items that the database finds; see `ItemIndex.search`.

        Raises:
            IndexUnavailableError: the database does not respond, or the table does not exist.

        """
        x = check_queries(queries, k, width=self._table.width)
        if exclude is not None and len(exclude) != len(x):
            raise QueryError(f"exclude: {len(exclude):,} lists for {len(x):,} queries")
        left_out = [self._ids(e) for e in exclude or [[]] * len(x)]
        condition = None if where is None else sql_filter(where, self._columns)
        parts = ([condition[0]] if condition else []) + ["id <> ALL(%s)"]
        query = (
            f"SELECT id, -(vector <#> %s) FROM {self._table.sql}"  # noqa: S608 - names of our own
            f" WHERE {' AND '.join(parts)} ORDER BY vector <#> %s LIMIT %s"
        )
        values = condition[1] if condition else []

        def found(cursor: Any) -> list[list[tuple[Any, float]]]:
            cursor.execute(_SETTINGS, self._settings(k))
            exact = condition is not None and self._has_few(cursor, *condition)
            if exact:
                cursor.execute(_EXACT)
            pairs = zip(x, left_out, strict=True)
            asked = [(query, [row, *values, out, row, k]) for row, out in pairs]
            lists = [cursor.execute(*one).fetchall() for one in asked]
            short = [n for n, hits in enumerate(lists) if len(hits) < k]
            if short and not exact:  # the graph may end before the items do
                cursor.execute(_EXACT)
                for n in short:
                    lists[n] = cursor.execute(*asked[n]).fetchall()
            return lists

        try:
            return hits_of(self._session.run(found, again=True, seconds=self._seconds), k)
        except RunError as error:  # it was there when the index was opened
            raise IndexUnavailableError(str(error)) from None

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an existing id gets the new vector and attributes."""
        items, x = checked_items(ids, vectors, attributes)
        table = self._table
        if x.shape[1] != table.width:
            raise QueryError(f"item vectors: expected width {table.width}, got {x.shape[1]}")
        if tuple(columns_of(items.attributes)) != table.columns:
            wanted = ", ".join(f"{c.name} ({c.sql_type})" for c in table.columns) or "none"
            raise QueryError(f"attributes: expected {wanted}")
        names = table.names
        replaced = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        query = (
            f"INSERT INTO {table.sql} ({', '.join(names)})"  # noqa: S608 - names of our own
            f" VALUES ({', '.join(['%s'] * len(names))})"
            f" ON CONFLICT (id) DO UPDATE SET {replaced}"
        )
        rows = list(table.rows(items, self._own_ids(items), x))
        self._change(lambda cursor: cursor.executemany(query, rows))

    def remove(self, ids: Any) -> None:
        """Remove items; unknown ids are ignored."""
        query = f"DELETE FROM {self._table.sql} WHERE id = ANY(%s)"  # noqa: S608
        self._change(lambda cursor: cursor.execute(query, [self._ids(ids)]))

    def save(self, folder: str | Path) -> None:
        """Write the location of the index to a new folder."""
        with new_folder(Path(folder)) as aside:
            text = self.address.model_dump_json(indent=1)
            (aside / "index.json").write_text(text, encoding="utf-8")

    def drop(self) -> None:
        """Delete the table, once no bundle is served with it; the index cannot be used then."""
        drop_table(self._session, self._table)

    def close(self) -> None:
        """End the connection."""
        self._session.close()

    @property
    def _seconds(self) -> float:
        """Longest wait for a response; the server itself ends a search after `timeout`."""
        return self.address.timeout + _GRACE

    @property
    def _columns(self) -> dict[str, tuple[str, Column]]:
        """Columns that a condition may name: the attributes, and the id as in any other engine."""
        kind = "text" if self._table.text_ids else "integer"
        own = {"item_id": ("id", Column(name="item_id", kind=kind))}
        return own | self._table.places

    def _has_few(self, cursor: Any, condition: str, values: list[Any]) -> bool:
        """Return whether few items fulfil a condition; it is counted once per condition."""
        key = condition, repr(values)
        if key not in self._few:
            if len(self._few) >= _MOST_CONDITIONS:
                self._few.clear()
            matching = f"SELECT FROM {self._table.sql} WHERE {condition} LIMIT {_FEW + 1}"
            cursor.execute(f"SELECT count(*) FROM ({matching}) AS matching", values)  # noqa: S608
            self._few[key] = cursor.fetchone()[0] <= _FEW
        return self._few[key]

    def _settings(self, k: int) -> list[str]:
        candidates = min(max(self.address.ef_search, k), _MOST_CANDIDATES)
        return [str(candidates), str(max(1, round(self.address.timeout * 1_000)))]

    def _ids(self, ids: Any) -> list[Any]:
        return engine_ids(ids, text=self._table.text_ids)

    def _own_ids(self, items: Catalogue) -> list[Any]:
        found = self._ids(items.ids.to_list())
        if len(found) < len(items):
            raise QueryError(
                f"item ids: the table {self._table.sql} holds integers, got text; build an index of"
                " both"
            )
        return found

    def _change(self, work: Callable[[Any], Any]) -> None:
        """Change items, and record that the table has no longer the content it was built with."""

        def change(cursor: Any) -> None:
            work(cursor)
            mark_changed(cursor, self._table)

        self._session.run(change)
        self._few.clear()
