"""The ranker of an online funnel: items are encoded when they arrive, queries per request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaning.cells import to_ids
from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.data.content_types import ContentTypes, Names
from crosstower.data.encoders.request import RequestEncoder
from crosstower.data.encoders.row import RowEncoder
from crosstower.data.layout import RESERVED_CODES, UNSEEN
from crosstower.data.request import Request
from crosstower.data.sources.joins import JoinedSource
from crosstower.data.sources.source import Chunk, FrameSource
from crosstower.errors import DataError, QueryError, query_error
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.rows import RowMaker
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.values.arrays import Indices
from crosstower.values.ids import id_of
from crosstower.values.tables import Vocabulary

_ROWS = 100_000


@dataclass(frozen=True)
class RankerItems:
    """Items as the ranker reads them, by place.

    `batch` holds the columns that the item alone decides, `good` `[N]` whether the ranker can read
    the item at all. Of the raw columns, `arrays` has the content types and amounts that calibration
    and blend read, and `frame` those that the model reads together with columns of the query.
    """

    batch: Batch
    good: NDArray[np.bool_]
    arrays: RawArrays
    frame: pl.DataFrame

    def __len__(self) -> int:
        """Return N."""
        return len(self.good)

    def take(self, places: Indices) -> RankerItems:
        """Return the items at `places`, in that order."""
        frame = self.frame[places] if self.frame.width else self.frame
        batch = self.batch.take(places)  # the shorter way for a request's few rows
        return RankerItems(batch, self.good[places], self.arrays.take(places), frame)

    @staticmethod
    def concatenate(parts: Sequence[RankerItems]) -> RankerItems:
        """Return the items of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        frames = [part.frame for part in parts]
        return RankerItems(
            Batch.concatenate([part.batch for part in parts]),
            np.concatenate([part.good for part in parts]),
            RawArrays.concatenate([part.arrays for part in parts], parts[0].arrays.types),
            pl.concat(frames) if frames[0].width else frames[0],
        )

    def unreadable(self, count: int) -> RankerItems:
        """Return items that the ranker cannot read, with the columns of these."""
        types = {n: ContentTypes(np.full(count, -1, np.int32), Names()) for n in self.arrays.types}
        arrays = RawArrays(types, {n: np.zeros(count) for n in self.arrays.amounts})
        good = np.zeros(count, dtype=bool)
        return RankerItems(self.batch.blank(count), good, arrays, self.frame.clear(count))


@dataclass(frozen=True)
class RankerQuery:
    """A query as the ranker reads it.

    `batch` has one row, and so have the raw columns that the query decides: see `RankerItems`.
    `unseen` tells for each categorical column whether its value was never seen in training.
    """

    batch: Batch
    arrays: RawArrays
    frame: pl.DataFrame
    unseen: dict[str, bool]


class OnlineRanker:
    """A scorer for the items of a catalogue.

    Args:
        rows: knows which raw column belongs to the query and which to the item.
        scorer: the ranker, in any form.
        blends: the blends that requests can select.

    """

    def __init__(self, rows: RowMaker, scorer: Scorer, blends: Blends) -> None:
        self.rows, self.scorer, self.blends = rows, scorer, blends
        schema = scorer.encoder.schema
        own, theirs, pairs = rows.sides(schema)
        self._encoder = RequestEncoder(scorer.encoder, own, pairs)
        cleaner = scorer.cleaner(extras=[*blends.by, *schema.part(pairs).sources()])
        self._own = RowEncoder(scorer.encoder, self._encoder.user.columns)
        self._pairs = Cleaner(schema.part(pairs), with_labels=False)
        self._query = _side(cleaner, [], rows, of_query=True)
        self._items = _side(cleaner, theirs, rows, of_query=False)
        self._types = list(dict.fromkeys([*scorer.typed, *blends.by]))
        self._framed = self._pairs.sources()
        self._raw_names = {name: raw_name(name) for name in self._items.extras}
        self._joins = [_Lookup(t) for t in rows.tables if rows.is_of_query(t.on)]
        self._item_joins = [t for t in rows.tables if not rows.is_of_query(t.on)]

    @property
    def tasks(self) -> list[str]:
        """The ranker's tasks; the first one orders if there is no blend."""
        return list(self.scorer.encoder.schema.tasks)

    def encode_items(self, attributes: pl.DataFrame, *, strict: bool) -> RankerItems:
        """Return items encoded.

        Args:
            attributes: raw columns, a row per item.
            strict: refuse an item that the ranker cannot read; otherwise it is marked.

        Raises:
            DataError: a cell is bad, and `strict`.

        """
        added = {n for t in self._item_joins for n in t.table.columns if n != t.on}
        frame = attributes.drop([*added], strict=False) if added else attributes
        for table in self._item_joins:
            source = replace(table, base=FrameSource(frame, "the items"))
            frame = pl.concat([chunk.frame for chunk in source.chunks(source.columns())])
        how = "error" if strict else "skip"
        cleaner = replace(self._items, on_bad_rows=how, skipped=Counter[str]())
        starts = range(0, max(frame.height, 1), _ROWS)
        parts = [self._encoded(cleaner, frame.slice(start, _ROWS)) for start in starts]
        return RankerItems.concatenate(parts)

    def _encoded(self, cleaner: Cleaner, items: pl.DataFrame) -> RankerItems:
        frame = cleaner.clean(Chunk(items, "the items", 0, 0))
        raw = {name: frame[column].alias(name) for name, column in self._raw_names.items()}
        framed = pl.DataFrame([raw[name] for name in self._framed if name in raw])
        good = np.ones(frame.height, dtype=bool)
        found = RankerItems(
            self._encoder.items.encode(frame), good, self._arrays(raw, cleaner), framed
        )
        if frame.height == items.height:
            return found
        if not frame.height:
            return found.unreadable(items.height)
        rows = frame[ROW].to_numpy()
        good = np.zeros(items.height, dtype=bool)
        good[rows] = True
        # Bad items get a place as well; their codes are never read.
        where = np.zeros(items.height, dtype=np.int64)
        where[rows] = np.arange(len(rows))
        return replace(found.take(where), good=good)

    def _arrays(self, raw: Mapping[str, pl.Series], cleaner: Cleaner) -> RawArrays:
        """Return the types and amounts among the raw columns of the query, or of items."""
        types = {name: ContentTypes.of(raw[name]) for name in self._types if name in raw}
        amounts = {name: raw[name].cast(pl.Float64).to_numpy() for name in cleaner.amounts}
        return RawArrays(types, amounts)

    def query(self, row: Mapping[str, Any]) -> RankerQuery:
        """Return a query encoded: raw columns that `RowMaker.check_given` has let pass.

        Raises:
            QueryError: a value is bad.

        """
        whole = dict(row)
        for lookup in self._joins:
            try:
                whole |= lookup.columns_of(whole.get(lookup.on))
            except DataError as error:
                raise QueryError(f"query: column '{lookup.on}': {error}") from None
        try:
            encoded = self._own.encode(whole)
            raw = self._raw(whole)
            arrays = self._arrays(raw, self._query)
        except DataError as error:
            raise query_error(error) from None
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise QueryError(f"query: a value cannot be read: {reason}") from None
        frame = pl.DataFrame([raw[n] for n in self._framed if n in raw])
        names = zip(self._own.side.code_names, encoded.codes.tolist(), strict=True)
        unseen = {name: code == UNSEEN for name, code in names}
        return RankerQuery(self._own.batch([encoded]), arrays, frame, unseen)

    def _raw(self, row: Mapping[str, Any]) -> dict[str, pl.Series]:
        """Return the raw columns that calibration and blend read of the query, amounts checked."""
        if not (self._query.extras or self._query.amounts):
            return {}
        frame = pl.DataFrame({n: [row[n]] for n in self._query.sources()}, strict=False)
        if self._query.amounts:
            self._query.clean(Chunk(frame, "the query", 0, 0))
        return {name: frame[name] for name in self._query.extras}

    def logits(self, query: RankerQuery, items: RankerItems) -> dict[str, NDArray[np.float32]]:
        """Return the logits `[B]` of candidates that can all be read, by task.

        Raises:
            QueryError: a value that the query and an item decide together is bad.

        """
        return self.scorer.logits(self.request(query, items))

    def request(self, query: RankerQuery, items: RankerItems) -> Request:
        """Return the input of the model; errors as `logits`."""
        pairs = self._encode_pairs(query, items) if self._framed else None
        return self._encoder.join(query.batch, items.batch, pairs)

    @staticmethod
    def arrays(query: RankerQuery, items: RankerItems) -> RawArrays:
        """Return the content types and amounts `[B]` of candidates, by column."""
        mine, theirs = query.arrays, items.arrays
        if not (mine.types or mine.amounts):
            return theirs
        mine = mine.take(np.zeros(len(items), np.int64))
        return RawArrays({**mine.types, **theirs.types}, {**mine.amounts, **theirs.amounts})

    def readable(self, query: RankerQuery, items: RankerItems) -> RankerItems:
        """Return items marked that cannot be read together with a query, such as a bad place."""
        cleaner = replace(self._pairs, on_bad_rows="skip", skipped=Counter[str]())
        rows = cleaner.clean(self._pair_rows(query, items))[ROW].to_numpy()
        return replace(items, good=items.good & np.isin(np.arange(len(items)), rows))

    def _encode_pairs(self, query: RankerQuery, items: RankerItems) -> Batch:
        try:
            cleaned = self._pairs.clean(self._pair_rows(query, items))
        except DataError as error:
            raise query_error(error) from None
        return self._encoder.pairs.encode(cleaned)

    @staticmethod
    def _pair_rows(query: RankerQuery, items: RankerItems) -> Chunk:
        mine = [query.frame[name].new_from_index(0, len(items)) for name in query.frame.columns]
        return Chunk(pl.DataFrame([*mine, *items.frame.get_columns()]), "the candidates", 0, 0)


def _side(cleaner: Cleaner, columns: Sequence[str], rows: RowMaker, *, of_query: bool) -> Cleaner:
    """Return a cleaner of some columns, and of the raw ones that the query or the item decides."""
    extras, amounts = (
        [name for name in names if rows.is_of_query(name) == of_query]
        for names in (cleaner.extras, cleaner.amounts)
    )
    return replace(
        cleaner, schema=cleaner.schema.part(list(columns)), extras=extras, amounts=amounts
    )


class _Lookup:
    """A joined table whose key comes with the query."""

    def __init__(self, joined: JoinedSource) -> None:
        self.on = joined.on
        ids = to_ids(joined.on, joined.table[joined.on])
        order = ids.arg_sort(nulls_last=True)[: len(ids) - ids.null_count()]
        self._keys, self._rows = Vocabulary(ids[order]), joined.table[order].drop(joined.on)

    def columns_of(self, key: Any) -> dict[str, Any]:
        """Return the columns of a key; all are missing for an unknown key.

        Raises:
            DataError: it cannot be a key.

        """
        known = id_of(key)
        code = UNSEEN if known is None else self._keys.code_of(known)
        if code == UNSEEN:
            return dict.fromkeys(self._rows.columns)
        return self._rows.row(code - RESERVED_CODES, named=True)
