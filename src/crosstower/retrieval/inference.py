"""Vectors of a trained retrieval model, and the best items of every query."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.layout import UNSEEN
from crosstower.data.rows_per_process import filled_part_of
from crosstower.data.sources.source import Chunk
from crosstower.models.two_tower import TwoTower
from crosstower.nn.table_devices import device_of
from crosstower.nn.world import ALONE, World
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.histories import EventTimes, Histories
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.evaluation_fallback import informed_queries, query_segments, with_popular
from crosstower.retrieval.index.vectors import Vectors, top_places
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.retrieval.run_files import rows_by_segment
from crosstower.training.devices import autocast
from crosstower.values.arrays import Indices

_ROWS, _FEWEST = 2_048, 16
_COMPARED = 1 << 23


class ItemEncoder:
    """Encodes raw items as vectors; `columns` are the data columns that it reads.

    Args:
        model: whose item tower computes the vectors.
        encoder: of all columns.
        columns: schema columns of the item tower.

    """

    def __init__(self, model: TwoTower, encoder: Encoder, columns: Sequence[str]) -> None:
        self._model, self._side = model, PartialEncoder(encoder, columns)
        self._cleaner = Cleaner(self._side.schema, with_labels=False)
        self.columns = self._side.schema.sources()

    def vectors(self, items: pl.DataFrame, name: str) -> NDArray[np.float32]:
        """Return the vectors `[n, D]` of raw items; `name` names them in messages.

        Raises:
            DataError: a cell is bad.

        """
        return item_vectors(self._model, self._side.widen(self._encoded(items, name))).numpy()

    @property
    def may_be_unseen(self) -> bool:
        """Whether all values of an item can be unseen: the tower reads no numbers or lists."""
        return not (self._side.number_names or self._side.list_names)

    def unseen(self, items: pl.DataFrame, name: str) -> NDArray[np.bool_]:
        """Return which items `[n]` have only unseen values in the tower.

        All of them have one vector. Arguments and errors as `vectors`.
        """
        if not self.may_be_unseen:
            return np.zeros(len(items), dtype=bool)
        return (self._encoded(items, name).codes == UNSEEN).all(1).numpy()

    def _encoded(self, items: pl.DataFrame, name: str) -> Batch:
        return self._side.encode(self._cleaner.clean(Chunk(items, name, 0, 0)))


@torch.no_grad()
def item_vectors(
    model: TwoTower, items: Batch, *, precision: str = "float32", world: World = ALONE
) -> Tensor:
    """Return the vectors `[N, D]` of all items, on the CPU.

    Args:
        model: whose item tower computes them.
        items: encoded, all of them in each process.
        precision: of the matrix products, "float32" or "bfloat16".
        world: whose processes each compute a part of them.

    """
    device = device_of(model)

    def vectors(part: slice) -> Tensor:
        with autocast(device, precision):
            return model.items(items[part].to(device)).float()

    return _by_parts(len(items), vectors, world)


def _by_parts(
    count: int, vectors: Callable[[slice], Tensor], world: World, *, most: int = _ROWS
) -> Tensor:
    """Return vectors of `count` rows, `most` at a time, each process a part of them."""
    parts: list[Tensor] = []
    for start in range(0, count, most):
        rows = min(most, count - start)
        part, fills = filled_part_of(rows, world.rank, world.size)
        found = vectors(slice(start + part.start, start + part.stop))
        parts.append(world.all_rows(found[:0] if fills else found, rows).cpu())
    return torch.cat(parts)


@torch.no_grad()
def query_vectors(
    model: TwoTower,
    encoder: QueryEncoder,
    compact: Batch,
    users: Indices,
    histories: Histories,
    *,
    times: Indices | None = None,
    precision: str = "float32",
    world: World = ALONE,
) -> Tensor:
    """Return `[Q, D]` for query columns and the users of their histories; -1 has none.

    Queries are computed by the length of their histories, so that short ones need no padding.

    Args:
        model: whose query tower computes them.
        encoder: of queries.
        compact: the columns of Q queries.
        users: `[Q]`, places of users in the histories.
        histories: of all users.
        times: `[Q]` of the queries, in seconds since 1970, if the encoder of histories reads times.
        precision: of the matrix products, "float32" or "bfloat16".
        world: whose processes each compute a part of them.

    """
    device = device_of(model)
    items = torch.from_numpy(histories.items)
    known = np.maximum(users, 0)
    begin = histories.starts[known]
    end = np.where(users < 0, begin, histories.starts[known + 1])
    order = torch.from_numpy(np.argsort(end - begin, kind="stable"))
    starts, ends = torch.from_numpy(begin)[order], torch.from_numpy(end)[order]

    events = None if histories.times is None else torch.from_numpy(histories.times)
    rows = None if times is None else torch.from_numpy(times)[order]

    def vectors(part: slice) -> Tensor:
        when = None if events is None or rows is None else EventTimes(events, rows[part])
        batch = encoder.batch(compact[order[part]], items, starts[part], ends[part], when)
        with autocast(device, precision):
            return model.queries(batch.to(device)).float()

    # An encoder of histories compares all pairs of values.
    most = min(max(_COMPARED // max(encoder.length, 1) ** 2, _FEWEST), _ROWS)
    found = _by_parts(len(users), vectors, world, most=most)
    return torch.empty_like(found).index_copy_(0, order, found)


def evaluation_lists(
    model: TwoTower,
    recipe: Recipe,
    data: RetrievalData,
    split: str,
    k: int,
    *,
    precision: str = "float32",
    world: World = ALONE,
) -> Indices:
    """Return the k best items `[Q, k]` of each query of a split, excluding seen ones.

    A query about which the model knows nothing gets popular items, as in a server. With several
    processes, the lists are those of rank 0; the others return none.
    """
    model.eval()
    queries = data.evaluation[split]
    vectors = query_vectors(
        model,
        data.query_encoder(),
        data.evaluation_batches[split],
        queries.users,
        queries.earlier,
        times=queries.times,
        precision=precision,
        world=world,
    )
    found = item_vectors(model, data.item_batch, precision=precision, world=world)
    if world.rank > 0:
        return np.empty((0, k), dtype=np.int64)
    items = Vectors.encode(found.numpy(), "float32")
    shown = top_places(vectors, items, k, excluded=queries.seen)[0]
    nothing = ~informed_queries(recipe, queries, vectors.numpy())
    if not nothing.any():
        return shown
    name = retrieval_section_of(recipe).segment
    popular = PopularOrder(data.counts, None if name is None else rows_by_segment(name, data))
    return with_popular(
        shown, nothing, queries, popular, query_segments(recipe, data.rows.take(queries.rows))
    )


def hard_lists(model: TwoTower, data: RetrievalData, k: int, *, world: World = ALONE) -> Tensor:
    """Return the k best items `[U, k]` of each user's last training row, trained ones left out."""
    users = np.arange(len(data.rows.users))
    last = np.maximum(data.train.starts[1:] - 1, 0)
    queries = query_vectors(
        model,
        data.query_encoder(),
        data.queries[torch.from_numpy(last)],
        users,
        data.train,
        times=None if data.train.times is None else data.train.times[last],
        world=world,
    )
    items = Vectors.encode(item_vectors(model, data.item_batch, world=world).numpy(), "float32")
    found = top_places(queries, items, k, excluded=data.train.pairs(users))[0]
    return torch.from_numpy(found)
