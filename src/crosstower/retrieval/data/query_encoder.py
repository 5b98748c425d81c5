"""Query columns and histories as batches for the query tower."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.layout import UNSEEN
from crosstower.data.prefixes import Prefixes
from crosstower.data.ragged import Lists, Ragged
from crosstower.recipe.schema import Bag
from crosstower.retrieval.data.histories import EventTimes, sets, tails
from crosstower.retrieval.data.tower_columns import TowerColumns


class QueryEncoder:
    """Encodes query columns and histories as batches for the query tower.

    The position behind the last item stands for an item that is not in the catalogue.

    Args:
        encoder: of all columns.
        sides: names the query's columns.
        ids: of all items, by position.

    """

    def __init__(self, encoder: Encoder, sides: TowerColumns, ids: pl.Series) -> None:
        self.side, self.history = PartialEncoder(encoder, sides.query), sides.history
        self.length, self.codes = 0, torch.empty(0, dtype=torch.int32)
        self.ages: str | None = None
        self.unordered = isinstance(encoder.schema.columns.get(sides.history or ""), Bag)
        if sides.history is not None:
            field = next(f for f in encoder.layout.lists if f.name == sides.history)
            self.length, self.ages = field.length, field.ages
            codes = encoder.tables[field.table].encode(ids)
            self.codes = torch.from_numpy(np.append(codes, np.int32(UNSEEN)))

    def batch(
        self,
        compact: Batch,
        items: Tensor,
        starts: Tensor,
        ends: Tensor,
        times: EventTimes | None = None,
    ) -> Batch:
        """Return `[B]` queries: compact columns, and `items[starts:ends]` as their histories."""
        return self.with_histories(compact, self.lists(items, starts, ends, times))

    def with_histories(self, compact: Batch, histories: dict[str, Lists]) -> Batch:
        """Return `[B]` queries: compact columns, and histories by the name of their column."""
        return self.side.widen(compact, histories)

    @property
    def reads_columns(self) -> bool:
        """Whether queries have columns besides the history."""
        return bool(self.side.columns)

    def lists(
        self, items: Tensor, starts: Tensor, ends: Tensor, times: EventTimes | None = None
    ) -> dict[str, Lists]:
        """Return the histories of B queries, with their ages if these are read; empty without any.

        Args:
            items: `[R]`, of all users.
            starts: `[B]`, place of the first item of each history.
            ends: `[B]`, place behind the last item.
            times: of the items and the queries; not read without `ages`.

        Raises:
            ValueError: the encoder of histories reads times, and there are none.

        """
        if self.history is None:
            return {}
        form = sets if self.unordered else tails
        found = {self.history: form(self.codes[items], starts, ends, length=self.length)}
        if self.ages is not None:
            found[self.ages] = self._needed(times).ages(starts, ends, length=self.length)
        return found

    def prefixes(
        self, items: Tensor, starts: Tensor, ends: Tensor, times: EventTimes | None = None
    ) -> dict[str, Lists]:
        """Return the same histories; consecutive ones with the same start share their items.

        Args:
            items: of all users.
            starts: `[B]`, first item of each history, equal for those that share their items.
            ends: `[B]`, place behind the last item, ascending where the start is the same.
            times: of the items and the queries; not read without `ages`.

        Raises:
            ValueError: the encoder of histories reads times, and there are none.

        """
        if self.history is None:
            return {}
        first, group, sizes = torch.unique_consecutive(
            starts, return_inverse=True, return_counts=True
        )
        last = sizes.cumsum(0) - 1
        counts = ends[last] - first
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        places = torch.arange(int(offsets[-1])) + (first - offsets[:-1]).repeat_interleave(counts)
        whole = {self.history: Ragged(self.codes[items[places]], offsets, self.length)}
        if self.ages is not None:
            known = self._needed(times)
            rows = known.rows[last].repeat_interleave(counts)
            ages = (rows - known.events[places]).clamp(min=0)
            whole[self.ages] = Ragged(ages, offsets, self.length)
        sizes = ends - starts
        return {n: Prefixes.of(lists, group=group, sizes=sizes) for n, lists in whole.items()}

    def _needed(self, times: EventTimes | None) -> EventTimes:
        if times is None:
            raise ValueError(f"column '{self.history}': its encoder reads times; give them")
        return times
