"""The ranking stage of the online funnel: score, calibrate, blend and order the candidates."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.request_encoder import RequestEncoder
from crosstower.data.encoders.row_encoder import RowEncoder
from crosstower.data.layout import UNSEEN
from crosstower.data.request_batch import Request
from crosstower.data.sources.source import Chunk
from crosstower.errors import CrosstowerError, DataError, QueryError, first_line, query_error
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.counters import Counted, OnlineCounters, query_parts
from crosstower.funnel.online.explorer import Explorer
from crosstower.funnel.online.order import ordered
from crosstower.funnel.online.ranker_items import (
    RankerItemEncoder,
    RankerItems,
    RankerTable,
    raw_arrays,
)
from crosstower.funnel.online.request import RequestState
from crosstower.funnel.query_table import QueryTable
from crosstower.funnel.row_maker import RowMaker
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.recipe.kinds.calendar import present_minute
from crosstower.recipe.own_columns import ROW
from crosstower.retrieval.history_ages import now_in_seconds
from crosstower.retrieval.online.request import each, fail
from crosstower.values.hashing import U64


@dataclass(frozen=True)
class RankerQuery:
    """A query as the ranker reads it.

    `batch` has one row, and so have the raw columns that the query decides: see `RankerItems`.
    `unseen` tells for each categorical column whether its value was never seen in training. `keys`
    are hashes `[1]` of the columns by which events are counted, until `instant`.
    """

    batch: Batch
    arrays: RawArrays
    frame: pl.DataFrame
    unseen: dict[str, bool]
    keys: dict[str, U64]
    instant: int


class OnlineRanker:
    """The ranking stage, for a batch of requests; not safe for several threads.

    `items` encodes items, which is done when they arrive; queries are encoded per request.

    Args:
        rows: knows which raw column belongs to the query and which to the item.
        scorer: the ranker, in any form.
        blends: the blends that requests can select.
        counters: counts of events that the ranker reads.

    """

    def __init__(
        self, rows: RowMaker, scorer: Scorer, blends: Blends, counters: OnlineCounters
    ) -> None:
        self.rows, self.scorer, self.blends, self.counters = rows, scorer, blends, counters
        schema = scorer.encoder.schema
        own, theirs, pairs = rows.sides(schema)
        self._encoder = RequestEncoder(scorer.encoder, own, pairs)
        self._own = RowEncoder(scorer.encoder, self._encoder.user.columns)
        self._pairs = Cleaner(self._encoder.pairs.schema, with_labels=False)
        filled = [*(count.column for count in rows.counts), *rows.retrieved]
        self._framed = [name for name in self._pairs.sources() if name not in filled]
        cleaner = scorer.cleaner(extras=[*blends.by, *self._framed])
        self._query = _side(cleaner, [], rows, of_query=True)
        self._types = list(dict.fromkeys([*scorer.typed, *blends.by]))
        self._query_keys = [name for name in counters.keys if rows.is_of_query(name)]
        self._joins = [QueryTable(t) for t in rows.tables if rows.is_of_query(t.on)]
        self.items = RankerItemEncoder(
            self._encoder.items,
            _side(cleaner, theirs, rows, of_query=False),
            [t for t in rows.tables if not rows.is_of_query(t.on)],
            types=self._types,
            framed=self._framed,
            keys=[name for name in counters.keys if not rows.is_of_query(name)],
        )
        self.tasks = list(schema.tasks)  # the first one orders if there is no blend

    def rank(self, states: Sequence[RequestState], items: RankerTable, explorer: Explorer) -> None:
        """Put the candidates of requests into their final order.

        Args:
            states: of the requests, with their candidates.
            items: of the catalogue.
            explorer: draws the order of requests with exploration.

        """
        start, read = time.perf_counter(), dict[int, tuple[RankerQuery, RankerItems]]()
        each(
            states,
            lambda state: read.update({id(state): self._read(state, items)}),
            lambda state: self._score(state, *read[id(state)]),
        )
        alike: dict[int, list[RequestState]] = {}
        for state in states:
            if state.error is None:
                alike.setdefault(id(state.blend), []).append(state)
        for group in alike.values():
            self._combine(group)
        scored = time.perf_counter()
        each(states, lambda state: self._order(state, explorer))
        spent = {"rank": scored - start, "blend": time.perf_counter() - scored}
        for state in states:
            state.seconds |= spent

    def _read(self, state: RequestState, items: RankerTable) -> tuple[RankerQuery, RankerItems]:
        """Choose the blend of a request; return its query and candidates, encoded."""
        override = state.request.blend
        state.blend = self.blends.own if override is None else self.blends.of(override)
        query = self.query(self._row(state))
        state.found = replace(state.found, unseen=query.unseen)
        rows = items.take(state.found.places)
        if state.columns:
            frame = pl.DataFrame([*rows.frame.get_columns(), *state.columns])
            rows = replace(rows, frame=frame)
        return query, self._readable(state, rows)

    def _score(self, state: RequestState, query: RankerQuery, rows: RankerItems) -> None:
        """Compute the logits of a request's candidates."""
        try:
            state.logits = self.logits(query, rows)
        except QueryError:
            rows = self._readable(state, self._marked(query, rows))
            if not len(rows):
                raise
            state.logits = self.logits(query, rows)
        state.arrays = self.arrays(query, rows)
        if state.request.explain and self.counters.names:
            state.found = replace(state.found, counted=self._counted(query, rows))

    def _row(self, state: RequestState) -> dict[str, Any]:
        """Return the raw columns of a query: the user's own, replaced by those of the request."""
        rows, user = self.rows, state.user
        row: dict[str, Any] = dict.fromkeys(rows.known)
        if rows.history is not None:
            row[rows.history] = list(user.newest)
            if (ages := rows.ages.columns.get(rows.history)) is not None:
                row[ages] = list(user.newest_ages)
        row |= user.columns
        if rows.row_times:
            row |= dict.fromkeys(rows.row_times, present_minute())
        if rows.user is not None and user.id is not None:
            row[rows.user] = user.id
        if not rows.ages.columns:
            return row | dict(state.request.query)
        try:
            return row | rows.ages.of_query(state.request.query, now_in_seconds())
        except DataError as error:
            raise query_error(error) from None

    @staticmethod
    def _readable(state: RequestState, rows: RankerItems) -> RankerItems:
        """Leave out the candidates of a request that the ranker cannot read."""
        if rows.good.all():
            return rows
        kept, places = np.flatnonzero(rows.good), state.found.places
        unread = np.concatenate([state.found.unread, places[~rows.good]])
        state.found = replace(state.found.take(kept), unread=unread)
        return rows.take(kept)

    def _combine(self, group: Sequence[RequestState]) -> None:
        """Calibrate and blend the predictions of requests with the same blend."""
        scorer = replace(self.scorer, blend=group[0].blend)
        logits = {
            task: np.concatenate([state.logits[task] for state in group])
            for task in group[0].logits
        }
        try:
            arrays = RawArrays.concatenate([state.arrays for state in group], scorer.types)
            scores = scorer.combine(logits, arrays)
        except CrosstowerError as error:
            if len(group) == 1:
                fail(group, error)
            else:  # one request at a time, to find the one that fails
                for state in group:
                    self._combine([state])
            return
        ends = np.cumsum([len(state.found.places) for state in group]).tolist()
        for state, start, end in zip(group, [0, *ends], ends, strict=False):
            state.scores = scores.part(slice(start, end))

    def _order(self, state: RequestState, explorer: Explorer) -> None:
        if state.scores is not None:
            draw = None if state.request.explore is None else explorer.of(state.request)
            types, blends = state.arrays.types, self.blends
            state.found = ordered(state.found, state.scores, types, self.tasks, blends, draw=draw)

    def query(self, row: Mapping[str, Any]) -> RankerQuery:
        """Return a query encoded: raw columns that `RowMaker.check_given` has let pass.

        Raises:
            QueryError: a value is bad.

        """
        whole, keys, instant = dict(row), dict[str, U64](), 0
        for lookup in self._joins:
            try:
                whole |= lookup.columns_of(whole.get(lookup.on))
            except DataError as error:
                raise QueryError(f"query: column '{lookup.on}': {error}") from None
        try:
            encoded = self._own.encode(whole)
            batch = self._own.batch([encoded])
            raw, arrays = self._raw(whole)
            if self.counters.names:
                keys, instant = query_parts(whole, self._query_keys), self.counters.instant()
        except DataError as error:
            raise query_error(error) from None
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            reason = first_line(error)
            raise QueryError(f"query: a value cannot be read: {reason}") from None
        frame = pl.DataFrame([raw[n] for n in self._framed if n in raw])
        names = zip(self._own.side.code_names, encoded.codes.tolist(), strict=True)
        unseen = {name: code == UNSEEN for name, code in names}
        return RankerQuery(batch, arrays, frame, unseen, keys, instant)

    def check(self, row: Mapping[str, Any]) -> None:
        """Reject raw columns of a query, or some of them, that cannot be encoded.

        Raises:
            QueryError: a value is bad.

        """
        try:
            self._own.encode(row)
        except DataError as error:
            raise query_error(error) from None

    def _raw(self, row: Mapping[str, Any]) -> tuple[dict[str, pl.Series], RawArrays]:
        """Return the raw columns that calibration and blend read of the query, amounts checked."""
        if not (self._query.extras or self._query.amounts):
            return {}, RawArrays({}, {})
        frame = pl.DataFrame({n: [row[n]] for n in self._query.sources()}, strict=False)
        if self._query.amounts:
            self._query.clean(Chunk(frame, "the query", 0, 0))
        raw = {name: frame[name] for name in self._query.extras}
        types = [name for name in self._types if name in raw]
        return raw, raw_arrays(raw, types, self._query.amounts)

    def logits(self, query: RankerQuery, items: RankerItems) -> dict[str, NDArray[np.float32]]:
        """Return the logits `[B]` of candidates that can all be read, by task.

        Raises:
            QueryError: a value that the query and an item decide together is bad.

        """
        return self.scorer.logits(self.request(query, items))

    def request(self, query: RankerQuery, items: RankerItems) -> Request:
        """Return the input of the model; errors as `logits`."""
        pairs = self._encode_pairs(query, items) if self._pairs.schema.columns else None
        counts = None
        if self.counters.names:
            counts = self._encoder.counts.encode(self._counted(query, items).counts, len(items))
        return self._encoder.join(query.batch, items.batch, pairs, counts)

    @staticmethod
    def arrays(query: RankerQuery, items: RankerItems) -> RawArrays:
        """Return the content types and amounts `[B]` of candidates, by column."""
        mine, theirs = query.arrays, items.arrays
        if not (mine.types or mine.amounts):
            return theirs
        mine = mine.take(np.zeros(len(items), np.int64))
        return RawArrays({**mine.types, **theirs.types}, {**mine.amounts, **theirs.amounts})

    def _marked(self, query: RankerQuery, items: RankerItems) -> RankerItems:
        """Return items marked that cannot be read together with a query, such as a bad place."""
        cleaner = self._pairs.fresh_copy(on_bad_rows="skip")
        rows = cleaner.clean(self._pair_rows(query, items))[ROW].to_numpy()
        return replace(items, good=items.good & np.isin(np.arange(len(items)), rows))

    def _encode_pairs(self, query: RankerQuery, items: RankerItems) -> Batch:
        try:
            cleaned = self._pairs.clean(self._pair_rows(query, items))
        except DataError as error:
            raise query_error(error) from None
        return self._encoder.pairs.encode(cleaned)

    def _pair_rows(self, query: RankerQuery, items: RankerItems) -> Chunk:
        mine = [query.frame[name].new_from_index(0, len(items)) for name in query.frame.columns]
        columns = [*mine, *items.frame.get_columns(), *self._counted(query, items).columns()]
        return Chunk(pl.DataFrame(columns), "the candidates", 0, 0)

    def _counted(self, query: RankerQuery, items: RankerItems) -> Counted:
        return self.counters.at({**query.keys, **items.keys}, len(items), query.instant)


def _side(cleaner: Cleaner, columns: Sequence[str], rows: RowMaker, *, of_query: bool) -> Cleaner:
    """Return a cleaner of some columns, and of the raw ones that the query or the item decides."""
    extras, amounts = (
        [name for name in names if rows.is_of_query(name) == of_query]
        for names in (cleaner.extras, cleaner.amounts)
    )
    return replace(
        cleaner, schema=cleaner.schema.part(list(columns)), extras=extras, amounts=amounts
    )
