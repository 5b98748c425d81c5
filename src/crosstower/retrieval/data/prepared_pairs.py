"""The positives of a retriever as files, with their encoded columns, and read back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.encoded_shards import ShardWriter
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.recipe.own_columns import MARK
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import PositiveRows, times_of
from crosstower.retrieval.data.retrieval_data import RetrievalData, assembled

_QUERIES, _ITEMS = "queries", "items"
_ROWS, _USERS, _IDS = "positives.parquet", "users.parquet", "item-ids.parquet"
_ATTRIBUTES, _CLEANED = "item-attributes.parquet", "item-columns.parquet"
_USER, _ITEM, _SPLIT = (f"{MARK}{name} place" for name in ("user", "item", "split"))


def store_pairs(data: RetrievalData, folder: Path) -> Shards:
    """Write all positives, items and encoded columns of a retriever.

    Args:
        data: of the training.
        folder: exists.

    """
    rows, items = data.rows, data.rows.items
    places = {_USER: rows.user, _ITEM: rows.item, _SPLIT: rows.split}
    rows.frame.with_columns(pl.Series(n, p) for n, p in places.items()).write_parquet(
        folder / _ROWS
    )
    rows.users.to_frame().write_parquet(folder / _USERS)
    items.ids.to_frame().write_parquet(folder / _IDS)
    items.attributes.write_parquet(folder / _ATTRIBUTES)
    items.cleaned.write_parquet(folder / _CLEANED)
    shards = dict[str, ShardWriter]()
    for name, batch in ((_QUERIES, data.encoded), (_ITEMS, data.item_batch)):
        shards[name] = ShardWriter(folder / name)
        shards[name].add(batch)
    return {name: writer.finish() for name, writer in shards.items()}


def load_pairs(recipe: Recipe, stored: PreparedFolder) -> RetrievalData:
    """Return the data of a training run from files.

    Args:
        recipe: fits the recipe of the folder.
        stored: of a retriever.

    Raises:
        RunError: a file is damaged.

    """
    folder = stored.folder
    frame = pl.read_parquet(folder / _ROWS)
    places = {name: frame[name].to_numpy() for name in (_USER, _ITEM, _SPLIT)}
    ids = pl.read_parquet(folder / _IDS).to_series()
    attributes, cleaned = (pl.read_parquet(folder / name) for name in (_ATTRIBUTES, _CLEANED))
    rows = PositiveRows(
        frame.drop(places),
        places[_USER],
        places[_ITEM],
        places[_SPLIT],
        pl.read_parquet(folder / _USERS).to_series(),
        ItemTable(ids, attributes, cleaned),
        Counter(),
        times=None if stored.facts.until is None else times_of(recipe, frame),
    )
    batches = _all(stored, _QUERIES), _all(stored, _ITEMS)
    return assembled(recipe, rows, stored.encoder, batches, stored.facts)


def _all(stored: PreparedFolder, name: str) -> Batch:
    rows = stored.rows(name, 0)
    return Batch.concatenate([rows.block(number) for number in range(rows.blocks)])
