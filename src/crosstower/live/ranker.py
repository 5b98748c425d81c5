"""Score the candidates of a request: the query is encoded now, the items were before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.batch import Batch
from crosstower.data.clean import Cleaner
from crosstower.data.request import RequestEncoder
from crosstower.data.side import Side
from crosstower.data.side_row import SideRow
from crosstower.data.sources import Chunk, FrameSource, JoinedSource
from crosstower.data.tables import Vocabulary
from crosstower.errors import DataError, QueryError, query_error
from crosstower.funnel.request import cleaner_of, part_of
from crosstower.funnel.rows import RowMaker
from crosstower.layout import RESERVED_CODES, UNSEEN
from crosstower.live.candidates import CandidateEncoder, CandidateRows
from crosstower.run import Run
from crosstower.scores import Scorer

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """A query as the ranker reads it; `unseen` says of each code column whether its value is new.

    `raw` is one row of raw columns, which come after the model or belong to pair columns.
    """

    batch: Batch
    raw: pl.DataFrame
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
        self._own = SideRow(scorer.encoder, self._encoder.user.columns)
        self._query = part_of(cleaner, [], rows, of_query=True)
        items = part_of(cleaner, theirs, rows, of_query=False)
        self.items = CandidateEncoder(items, self._encoder.items)
        self._pairs = Cleaner(cleaner.schema.part(pairs), with_labels=False)
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
            whole |= lookup.columns_of(whole.get(lookup.on))
        self.rows.check_had([*whole])
        try:
            batch = self._own.encode(whole)
            raw = self._raw(whole)
        except DataError as error:
            raise query_error(error) from None
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise QueryError(f"query: a value cannot be read: {reason}") from None
        return Query(batch, raw, _unseen(self._encoder.user, batch))

    def _raw(self, row: Mapping[str, Any]) -> pl.DataFrame:
        """Return the raw columns of the query that come after the model, amounts checked."""
        frame = pl.DataFrame({n: [row[n]] for n in self._query.sources()}, strict=False)
        if self._query.amounts:
            self._query.clean(Chunk(frame, "the query", 0, 0))
        return frame.select(self._query.extras)

    def score(self, query: Query, items: CandidateRows, scorer: Scorer) -> pl.DataFrame:
        """Return the scores `[B]` of candidates, and the raw columns of the scorer.

        Args:
            query: from `query`.
            items: `[B]` that can all be read.
            scorer: ours, or ours with another blend, which needs no more raw columns.

        """
        both = {n: query.raw[n].new_from_index(0, len(items)) for n in query.raw.columns}
        both |= {name: items.raw[name] for name in items.raw.columns}
        pairs = self._encode_pairs(both) if self._pairs.schema.columns else None
        request = self._encoder.join(query.batch, items.batch, pairs)
        raw = pl.DataFrame([both[name].alias(name) for name in scorer.columns])
        scored = scorer.score_encoded(request, raw)
        rest = [column.alias(name) for name, column in both.items() if name not in scored.columns]
        return pl.DataFrame([*scored.get_columns(), *rest])

    def _encode_pairs(self, raw: Mapping[str, pl.Series]) -> Batch:
        frame = pl.DataFrame([raw[n].alias(n) for n in self._pairs.sources()])
        try:
            cleaned = self._pairs.clean(Chunk(frame, "the candidates", 0, 0))
        except DataError as error:
            raise query_error(error) from None
        return self._encoder.pairs.encode(cleaned)


class _Lookup:
    """A table whose key is the query's, found by hash."""

    def __init__(self, joined: JoinedSource) -> None:
        self.on, self._table = joined.on, joined.table
        self._keys = Vocabulary(joined.table[joined.on])
        self._names = [name for name in joined.table.columns if name != joined.on]

    def columns_of(self, key: Any) -> dict[str, Any]:
        """Return the columns of a key; all are missing where it is not there."""
        if key is None:
            return dict.fromkeys(self._names)
        place = int(self._keys.encode(pl.Series([str(key)]))[0]) - RESERVED_CODES
        if place < 0:
            return dict.fromkeys(self._names)
        return {name: self._table[name][place] for name in self._names}


def _unseen(side: Side, batch: Batch) -> dict[str, bool]:
    """Return, of each column with a code, whether the value was not in the training rows."""
    values = batch.codes[0].tolist()
    return {name: code == UNSEEN for name, code in zip(side.code_names, values, strict=True)}
