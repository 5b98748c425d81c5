"""Score the candidates of a request: the query is encoded now, the items were before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaning.cells import to_ids
from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.content_types import ContentTypes
from crosstower.data.encoders.request import RequestEncoder
from crosstower.data.encoders.row import RowEncoder
from crosstower.data.encoders.tables import Vocabulary
from crosstower.data.layout import RESERVED_CODES, UNSEEN
from crosstower.data.request import Request
from crosstower.data.sources.joins import JoinedSource
from crosstower.data.sources.source import Chunk, FrameSource
from crosstower.errors import DataError, QueryError, query_error
from crosstower.funnel.online.candidates import CandidateEncoder, CandidateRows, take
from crosstower.funnel.request import cleaner_of, part_of
from crosstower.funnel.rows import RowMaker
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.training.run import Run
from crosstower.values.ids import id_of


@dataclass(frozen=True)
class Query:
    """A query as the ranker reads it; `unseen` says of each code column whether its value is new.

    `batch` has one row, and so have the raw columns that the query decides: see `CandidateRows`.
    """

    batch: Batch
    arrays: RawArrays
    frame: pl.DataFrame
    unseen: dict[str, bool]


class LiveRanker:
    """A scorer with the items of a catalogue.

    Args:
        rows: says which raw column is whose.
        ranking: the run of the scorer.
        scorer: of the bundle.
        more: raw columns to keep of each item, by which other blends tell content types.

    """

    def __init__(
        self, rows: RowMaker, ranking: Run, scorer: Scorer, *, more: Sequence[str] = ()
    ) -> None:
        self.rows, self.scorer = rows, scorer
        cleaner = replace(cleaner_of(ranking, scorer), on_bad_rows="error")
        own, theirs, pairs = rows.sides(cleaner.schema)
        self._encoder = RequestEncoder(scorer.encoder, own, pairs)
        raw = [*cleaner.extras, *more, *cleaner.schema.part(pairs).sources()]
        cleaner = replace(cleaner, extras=list(dict.fromkeys(raw)))
        self._own = RowEncoder(scorer.encoder, self._encoder.user.columns)
        self._pairs = Cleaner(cleaner.schema.part(pairs), with_labels=False)
        self._query = part_of(cleaner, [], rows, of_query=True)
        self._types = list(dict.fromkeys([*scorer.typed, *more]))
        self._framed = self._pairs.sources()
        items = part_of(cleaner, theirs, rows, of_query=False)
        types, framed = (
            [n for n in names if n in items.extras] for names in (self._types, self._framed)
        )
        self.items = CandidateEncoder(
            items, self._encoder.items, types=types, amounts=items.amounts, framed=framed
        )
        self._joins = [_Lookup(t) for t in rows.tables if rows.is_of_query(t.on)]
        self._item_joins = [t for t in rows.tables if not rows.is_of_query(t.on)]

    def encode_items(self, attributes: pl.DataFrame, *, strict: bool) -> CandidateRows:
        """Return items encoded; one that cannot be read is marked, or refused if `strict`.

        Raises:
            DataError: a cell is bad, and `strict`.

        """
        added = {n for t in self._item_joins for n in t.table.columns if n != t.on}
        frame = attributes.drop(n for n in attributes.columns if n in added)
        for table in self._item_joins:
            source = replace(table, base=FrameSource(frame, "the items"))
            frame = pl.concat([chunk.frame for chunk in source.chunks(source.columns())])
        return self.items.encode(frame, strict=strict)

    def query(self, row: Mapping[str, Any]) -> Query:
        """Return a query of raw columns encoded.

        Raises:
            QueryError: a column is missing or its value is bad.

        """
        whole = dict(row)
        for lookup in self._joins:
            try:
                whole |= lookup.columns_of(whole.get(lookup.on))
            except DataError as error:
                raise QueryError(f"query: column '{lookup.on}': {error}") from None
        self.rows.check_had([*whole])
        try:
            encoded = self._own.encode(whole)
            raw = self._raw(whole)
            types = {n: ContentTypes.of(raw[n]) for n in self._types if n in raw}
            amounts = {n: raw[n].cast(pl.Float64).to_numpy() for n in self._query.amounts}
        except DataError as error:
            raise query_error(error) from None
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise QueryError(f"query: a value cannot be read: {reason}") from None
        frame = pl.DataFrame([raw[n] for n in self._framed if n in raw])
        names = zip(self._own.side.code_names, encoded.codes.tolist(), strict=True)
        unseen = {name: code == UNSEEN for name, code in names}
        return Query(self._own.batch([encoded]), RawArrays(types, amounts), frame, unseen)

    def _raw(self, row: Mapping[str, Any]) -> dict[str, pl.Series]:
        """Return the raw columns of the query that come after the model, amounts checked."""
        if not (self._query.extras or self._query.amounts):
            return {}
        frame = pl.DataFrame({n: [row[n]] for n in self._query.sources()}, strict=False)
        if self._query.amounts:
            self._query.clean(Chunk(frame, "the query", 0, 0))
        return {name: frame[name] for name in self._query.extras}

    def logits(self, query: Query, items: CandidateRows) -> dict[str, NDArray[np.float32]]:
        """Return the logits `[B]` of candidates that can all be read, by task.

        Raises:
            QueryError: a value that the query and an item decide together is bad.

        """
        return self.scorer.logits(self.request(query, items))

    def request(self, query: Query, items: CandidateRows) -> Request:
        """Return what the model reads; errors as `logits`."""
        pairs = self._encode_pairs(query, items) if self._pairs.schema.columns else None
        return self._encoder.join(query.batch, items.batch, pairs)

    @staticmethod
    def arrays(query: Query, items: CandidateRows) -> RawArrays:
        """Return the content types and amounts `[B]` of candidates, by column."""
        mine, theirs = query.arrays, items.arrays
        if not (mine.types or mine.amounts):
            return theirs
        mine = take(mine, np.zeros(len(items), np.int64))
        return RawArrays({**mine.types, **theirs.types}, {**mine.amounts, **theirs.amounts})

    def _encode_pairs(self, query: Query, items: CandidateRows) -> Batch:
        mine = [query.frame[name].new_from_index(0, len(items)) for name in query.frame.columns]
        frame = pl.DataFrame([*mine, *items.frame.get_columns()])
        try:
            cleaned = self._pairs.clean(Chunk(frame, "the candidates", 0, 0))
        except DataError as error:
            raise query_error(error) from None
        return self._encoder.pairs.encode(cleaned)


class _Lookup:
    """A table whose key is the query's."""

    def __init__(self, joined: JoinedSource) -> None:
        self.on = joined.on
        ids = to_ids(joined.on, joined.table[joined.on])
        order = ids.arg_sort(nulls_last=True)[: len(ids) - ids.null_count()]
        self._keys, self._rows = Vocabulary(ids[order]), joined.table[order].drop(joined.on)

    def columns_of(self, key: Any) -> dict[str, Any]:
        """Return the columns of a key; all are missing where it is not there.

        Raises:
            DataError: it cannot be a key.

        """
        known = id_of(key)
        code = UNSEEN if known is None else self._keys.code_of(known)
        if code == UNSEEN:
            return dict.fromkeys(self._rows.columns)
        return self._rows.row(code - RESERVED_CODES, named=True)
