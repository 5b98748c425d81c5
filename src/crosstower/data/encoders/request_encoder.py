"""Encode a request: one user's row and the rows of the candidates, each for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl
import torch

from crosstower.data.batch import Batch
from crosstower.data.encoders.counts import CountEncoder
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.request_batch import Request
from crosstower.errors import QueryError, did_you_mean
from crosstower.recipe.schema import Schema


class RequestEncoder:
    """Encodes the columns of a user once, for any number of candidates.

    Args:
        encoder: of all columns.
        user: the columns that have one value per request. The others are the candidates', one of
            both sides such as a distance among them, unless `pairs` has it. A cross is of the side
            that has all its columns; one of both sides is made here.
        pairs: columns of both sides that are encoded for themselves, so that the candidates' own
            can be encoded before there is a request. Those that count events are `counts`.

    Raises:
        QueryError: `user` names an unknown column, or a cross.

    """

    def __init__(self, encoder: Encoder, user: Sequence[str], pairs: Sequence[str] = ()) -> None:
        schema, self.counts = encoder.schema, CountEncoder(encoder)
        _check(schema, user)
        own = [name for name in schema.columns if _is_of(name, schema, set(user))]
        left = {*own, *pairs}
        others = {n for n, c in schema.columns.items() if n not in left and not c.combines}
        theirs = [name for name in schema.columns if _is_of(name, schema, others)]
        self.user, self.items = PartialEncoder(encoder, own), PartialEncoder(encoder, theirs)
        framed = [name for name in pairs if name not in self.counts.side.columns]
        self.pairs, self.shared = PartialEncoder(encoder, framed), frozenset(own)
        self._layout = encoder.layout
        places = {field.name: i for i, field in enumerate(self._layout.codes)}
        self._crosses = [
            (places[name], schema.columns[name].coder(None), [places[c] for c in parts])
            for name in places
            if (parts := schema.columns[name].combines) and name not in {*own, *theirs}
        ]

    def encode(self, user: pl.DataFrame, items: pl.DataFrame) -> Request:
        """Return a request of the cleaned row of a user and the cleaned rows of B candidates.

        Raises:
            QueryError: `user` is not one row.

        """
        if user.height != 1:
            raise QueryError(f"user: a request has the row of one user, got {user.height:,} rows")
        return self.join(self.user.encode(user), self.items.encode(items))

    def join(
        self, user: Batch, items: Batch, pairs: Batch | None = None, counts: Batch | None = None
    ) -> Request:
        """Return a request of encoded sides: of a user `[1, ...]`, all others `[B, ...]`."""
        rows, layout = len(items), self._layout
        codes = torch.empty(rows, len(layout.codes), dtype=torch.int32)
        numbers = torch.empty(rows, len(layout.numbers))
        self.user.put(user, codes, numbers)
        self.items.put(items, codes, numbers)
        if pairs is not None:
            self.pairs.put(pairs, codes, numbers)
        if counts is not None:
            self.counts.side.put(counts, codes, numbers)
        table = codes.numpy()
        for place, cross, parts in self._crosses:
            table[:, place] = cross([table[:, part] for part in parts])
        lists, labels = user.lists | items.lists, torch.empty(rows, 0)
        if pairs is not None:
            lists |= pairs.lists
        return Request(codes, numbers, lists, labels, self.shared)


def _check(schema: Schema, user: Iterable[str]) -> None:
    allowed = [n for n, c in schema.columns.items() if not c.combines]
    for name in user:
        if name not in allowed:
            raise QueryError(
                f"user: '{name}' is not a column that a user can have{did_you_mean(name, allowed)};"
                f" allowed: {', '.join(allowed)}"
            )


def _is_of(name: str, schema: Schema, side: set[str]) -> bool:
    parts = schema.columns[name].combines
    return side.issuperset(parts) if parts else name in side
