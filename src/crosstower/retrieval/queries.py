"""Queries of a retrieval run, encoded as vectors. Shapes: Q queries, D width of a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.encoders.row_encoder import EncodedRow, RowEncoder
from crosstower.data.layout import RESERVED_CODES
from crosstower.errors import DataError, QueryError, did_you_mean, query_error
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.kinds.calendar import present_minute
from crosstower.recipe.row_times import row_times
from crosstower.retrieval.data.histories import EventTimes
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import (
    reads_users_only,
    retrieval_section_of,
    tower_columns_of,
)
from crosstower.retrieval.run_files import (
    FOLDER,
    SEEN_ITEMS,
    SEEN_TIMES,
    USER,
    read,
    without_histories,
)
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.codes import Vocabulary
from crosstower.values.ids import given_id

NO_ITEMS = np.empty(0, np.int64)


@dataclass(frozen=True)
class KnownUser:
    """A user of the training rows: id, query columns of the last row, and history (positions).

    `times` are those of the history's events, in seconds since 1970; None if unknown.
    """

    id: str | int
    row: Mapping[str, Any]
    history: Indices
    times: Indices | None = None

    def ages(self, now: int) -> Indices:
        """Return the seconds since the events of the history; all 0 without times."""
        if self.times is None:
            return np.zeros(len(self.history), np.int64)
        return np.maximum(now - self.times, 0)


class Queries:
    """Encodes queries of a retrieval run.

    `user` is the column of the user's id, None if the recipe has none. `history_only` is True if
    the query tower reads only the history, and the id of a known user; `reads_history` if it reads
    the history at all, and `reads_times` if it reads the times of its events. `row_times` are
    columns with the time of the query: that of the request, unless the query gives them; the others
    are `own_columns`, which the user's last row has.

    Args:
        run: the run, whose recipe declares the columns of a query.
        model: its query tower.
        ids: of the items, by position.

    """

    def __init__(self, run: Run, model: TwoTower, ids: pl.Series) -> None:
        self.run, self.model = run, model
        self.user = retrieval_section_of(run.recipe).user
        sides = tower_columns_of(run.recipe)
        self._row = RowEncoder(run.encoder, sides.query)
        self._encoder = QueryEncoder(run.encoder, sides, ids)
        self.reads_history, self._items = sides.history is not None, len(ids)
        self.reads_times = self._encoder.ages is not None
        self.columns = self._row.side.schema.sources()
        self.row_times = tuple(n for n in row_times(run.recipe) if n in self.columns)
        self.own_columns = [name for name in self.columns if name not in self.row_times]
        self.history_only = reads_users_only(run.recipe)

    @cached_property
    def users(self) -> pl.DataFrame:
        """The history of each user, and the query columns of the user's last row."""
        return read(self.run.folder / FOLDER / "users.parquet")

    def look_up_in(self, users: pl.DataFrame) -> None:
        """Look users up in a part of `users`, in its order, as batch jobs do for each partition."""
        self.__dict__["users"] = users
        for name in ("_users", "_tables"):
            self.__dict__.pop(name, None)

    def check_user(self, user: str | int | None) -> None:
        """Reject a user if the recipe has none.

        Raises:
            QueryError: the recipe has no users.

        """
        if user is not None and self.user is None:
            raise QueryError("user: the recipe has no retrieval.user; give the query instead")

    def place_of(self, user: str | int) -> int:
        """Return the row of a user in `users`, -1 for an unknown user.

        Raises:
            QueryError: the value cannot be an id.

        """
        known = given_id("user", user) if user != "" else ""
        code = self._users.code_of(known)
        return max(code - RESERVED_CODES, -1)

    def are_known(self, users: pl.Series) -> NDArray[np.bool_]:
        """Return which canonical ids are users of the training rows."""
        if self.user is None:
            return np.zeros(len(users), dtype=bool)
        return self._users.encode(users) >= RESERVED_CODES

    def known(self, user: str | int) -> KnownUser | None:
        """Return a user's row and history; None for an unknown user, or without users."""
        if self.user is None:
            return None
        place = self.place_of(user)
        if place < 0:
            return None
        table, columns, history, times = self._tables
        own, *values = table.row(place)
        row, when = dict(zip(columns, values, strict=True)), None
        if times is not None:
            when = times[place].to_numpy()
        return KnownUser(own, row, history[place].to_numpy(), when)

    def row(
        self, user: str | int | None, known: KnownUser | None, query: Mapping[str, Any]
    ) -> EncodedRow:
        """Return the columns of a query encoded; columns that are not given are missing.

        Args:
            user: an id.
            known: the user's row and history; None for an unknown user.
            query: data columns; they replace those of the user's last row.

        Raises:
            QueryError: a column does not belong to a query, or a value is bad.

        """
        row: dict[str, Any] = dict.fromkeys(self.columns)
        if user is not None and self.user is not None and self.user in row:
            row[self.user] = user
        if known is not None:
            row |= known.row
        if self.row_times:
            row |= dict.fromkeys(self.row_times, present_minute())
        for name, value in query.items():
            if name not in row:
                segment = retrieval_section_of(self.run.recipe).segment
                names = [*row, *([segment] if segment is not None and segment not in row else [])]
                raise QueryError(
                    f"query: no column '{name}'{did_you_mean(name, names)}; the query has:"
                    f" {', '.join(names) or 'none'}"
                )
            row[name] = value
        try:
            return self._row.encode(row)
        except DataError as error:
            raise query_error(error) from None

    def vectors(
        self,
        rows: Sequence[EncodedRow],
        history: Sequence[Indices],
        ages: Sequence[Indices] | None = None,
    ) -> NDArray[np.float32]:
        """Return the vectors `[Q, D]` of encoded queries and the places of earlier items.

        Places behind the last item stand for later items, whose ids training has not seen.
        A vector, and so the order of two near items, does not depend on the rest of the batch.

        Args:
            rows: of Q queries.
            history: places of their earlier items, oldest first.
            ages: of these, in seconds before the query; all 0 if None. Not read without times.

        """
        items = torch.from_numpy(np.minimum(np.concatenate(history), self._items))
        ends = torch.tensor([len(places) for places in history]).cumsum(0)
        starts = torch.cat([ends.new_zeros(1), ends[:-1]])
        times = None
        if self.reads_times:
            whole = np.zeros(len(items), np.int64) if ages is None else np.concatenate(ages)
            times = EventTimes(torch.from_numpy(-whole), torch.zeros(len(ends), dtype=torch.int64))
        batch = self._encoder.batch(self._row.batch(rows), items, starts, ends, times)
        with torch.inference_mode():
            return self.model.each_query(batch).numpy()

    @staticmethod
    def check_finite(vector: NDArray[np.float32]) -> None:
        """Reject a query whose vector overflows, as the number of a formula may.

        Raises:
            QueryError: the vector is not finite.

        """
        if not np.isfinite(vector).all():
            raise QueryError("query: its vector is not finite; a number of the query is too large")

    @staticmethod
    def orders_items(vector: NDArray[np.float32]) -> bool:
        """Return whether a vector has a direction: all items are equally near to one of zeros.

        A bag of items that are all new gives such a vector, or an empty text.
        """
        return bool(vector.any())

    @cached_property
    def _users(self) -> Vocabulary:
        return Vocabulary(self.users[USER])

    @cached_property
    def _tables(self) -> tuple[pl.DataFrame, list[str], pl.Series, pl.Series | None]:
        """Return ids and query columns, the names of the latter, histories and their times."""
        table, users = without_histories(self.users), self.users
        names = [name for name in table.columns if name != USER]
        times = users[SEEN_TIMES] if SEEN_TIMES in users.columns else None
        return table.select(USER, *names), names, users[SEEN_ITEMS], times
