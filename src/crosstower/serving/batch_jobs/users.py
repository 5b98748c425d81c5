"""The users of a batch job: all of the training rows, or those of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from crosstower.data.sources.source import Chunk, Source, open_source
from crosstower.errors import DataError, QueryError, did_you_mean
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.run_files import FOLDER, USER
from crosstower.values.columns import ids_of, matched, no_ids
from crosstower.values.hashing import hash_ids

USER_ID, ROW = "user_id", "row"


class Users(Protocol):
    """Users as rows of a source.

    Chunks of the source have the `columns`; `requests` turns one into requests with their keys.
    """

    @property
    def source(self) -> Source:
        """The rows."""
        ...

    @property
    def columns(self) -> list[str]:
        """The columns to read."""
        ...

    def requests(self, chunk: Chunk, plain: FunnelRequest) -> tuple[pl.Series, list[FunnelRequest]]:
        """Return the keys `[Q]` and the requests `[Q]` of a chunk, as `plain` but for the user.

        Raises:
            DataError: a row has no user.

        """
        ...


def users_table(folder: Path) -> Path:
    """Return the file of a retrieval run that has its users, with histories."""
    return folder / FOLDER / "users.parquet"


@dataclass(frozen=True)
class AllUsers:
    """All users of the training rows.

    Args:
        source: of the run's table of users.
        queries: of the retriever.

    """

    source: Source
    queries: Queries

    @property
    def columns(self) -> list[str]:
        """All columns of the table."""
        return self.source.columns()

    def requests(self, chunk: Chunk, plain: FunnelRequest) -> tuple[pl.Series, list[FunnelRequest]]:
        """Return the ids and the requests of a part of the table."""
        self.queries.look_up_in(chunk.frame)
        ids = chunk.frame[USER]
        return ids.alias(USER_ID), [_of_user(plain, user, {}) for user in ids.to_list()]


@dataclass(frozen=True)
class UsersOfFile:
    """Users of a file: a column of ids, and columns of the query if it has others.

    An empty cell of a query column keeps the value of the user's last row. A recipe without users
    has queries only, which are known by their number.

    Args:
        source: of the rows.
        queries: of the retriever.
        id_column: with the ids of the users; None if the recipe has none.
        table: the run's table of users.

    """

    source: Source
    queries: Queries
    id_column: str | None
    table: Path

    @property
    def columns(self) -> list[str]:
        """All columns of the file."""
        return self.source.columns()

    def requests(self, chunk: Chunk, plain: FunnelRequest) -> tuple[pl.Series, list[FunnelRequest]]:
        """Return the ids, or numbers of rows, and the requests of a chunk."""
        names = [name for name in self.columns if name != self.id_column]
        rows = chunk.frame.select(names).to_dicts() if names else [{}] * chunk.frame.height
        given = [{n: v for n, v in row.items() if v is not None} for row in rows]
        if self.id_column is None:
            numbers = np.arange(chunk.frame.height) + chunk.first_row
            return pl.Series(ROW, numbers), [_of_user(plain, None, row) for row in given]
        ids = user_ids(chunk, self.id_column)
        known = self._known(ids)
        self.queries.look_up_in(known)
        users = zip(ids.to_list(), given, strict=True)
        return _typed(ids, known[USER].dtype, chunk), [_of_user(plain, *one) for one in users]

    def _known(self, ids: pl.Series) -> pl.DataFrame:
        """Return the rows of the table of users that a chunk needs, in their order."""
        table = pl.scan_parquet(self.table)
        wanted = _like(ids, table.collect_schema()[USER]).drop_nulls().unique()
        return table.filter(pl.col(USER).is_in(wanted.implode())).collect(engine="streaming")


def users_of(queries: Queries, users: str) -> AllUsers | UsersOfFile:
    """Return the users of a job.

    Args:
        queries: of the retriever.
        users: "all", or a path of a file, folder or glob.

    Raises:
        QueryError: the recipe has no users.
        DataError: the file cannot be read, or lacks the column of the ids.

    """
    table = users_table(queries.run.folder)
    if users != "all":
        source = open_source(users)
        return UsersOfFile(source, queries, _id_column(source, queries), table)
    if queries.user is None:
        raise QueryError(
            "--users all: the recipe has no retrieval.user; give a file with columns of the query"
        )
    return AllUsers(open_source(table), queries)


def user_ids(chunk: Chunk, column: str) -> pl.Series:
    """Return the canonical ids of a chunk.

    Raises:
        DataError: one is missing, or cannot be an id.

    """
    raw = chunk.frame[column]
    ids = ids_of(raw)
    bad = ids.is_null() | no_ids(raw, ids)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{chunk.origin}: column '{column}': expected the id of a user, got {raw[row]!r} in"
            f" row {chunk.first_row + row:,}; remove the row"
        )
    return ids


def check_each_once(users: UsersOfFile) -> None:
    """Read the ids of a file and refuse a user that it has twice.

    Memory: 8 bytes per user.

    Raises:
        DataError: names the user and both rows, or a row without a user.

    """
    column = users.id_column
    if column is None:
        return
    parts = [hash_ids(user_ids(chunk, column)) for chunk in users.source.chunks([column])]
    hashes = np.sort(np.concatenate(parts))
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    seen: dict[str, str] = {}
    for user, place in _places(users.source, column, twice) if len(twice) else ():
        if user in seen:
            raise DataError(
                f"user {user!r} occurs twice: {seen[user]} and {place}; keep one row per user"
            )
        seen[user] = place


def _places(source: Source, column: str, hashes: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield the users with some hashes as text, and their positions for messages."""
    for chunk in source.chunks([column]):
        ids = user_ids(chunk, column)
        for row in np.flatnonzero(np.isin(hash_ids(ids), hashes)).tolist():
            yield str(ids[row]), f"row {chunk.first_row + row:,} of {chunk.origin}"


def _id_column(source: Source, queries: Queries) -> str | None:
    """Return the column of the ids: that of the recipe, or the only one of the file."""
    names, wanted = source.columns(), queries.user
    if wanted is None or wanted in names:
        return wanted
    if len(names) == 1:
        return names[0]
    raise DataError(
        f"{source.name}: no column '{wanted}' with the ids of users{did_you_mean(wanted, names)};"
        " give a file with that column, or with one column"
    )


def _of_user(plain: FunnelRequest, user: Any, query: dict[str, Any]) -> FunnelRequest:
    return FunnelRequest(user, query, k=plain.k, where=plain.where, candidates=plain.candidates)


def _typed(ids: pl.Series, kind: pl.DataType, chunk: Chunk) -> pl.Series:
    """Return ids in the type that the run has, so that all parts have the same."""
    found = _like(ids, kind).alias(USER_ID)
    bad = found.is_null()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{chunk.origin}: user {ids[row]!r} in row {chunk.first_row + row:,}: the users of this"
            " run have integers as ids; correct the row, or remove it"
        )
    return found


def _like(ids: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return canonical ids in a type; null where one cannot be of it."""
    return ids if ids.dtype == kind else matched(ids, pl.Series([], dtype=kind))
