"""From a retrieval recipe and its rows to encoded training pairs and evaluation queries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.source import Source
from crosstower.data.split import HISTORY_ROWS, SPLITS, split_words, splits_of
from crosstower.data.statistics import DatasetStats
from crosstower.errors import DataError
from crosstower.recipe.history_times import timed_history
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Bag, Sequence
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries, evaluation_queries
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import PositiveRows, read_positives
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import (
    TowerColumns,
    retrieval_section_of,
    tower_columns_of,
)
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class RetrievalData:
    """The data of a retrieval training run, in memory.

    `train` are the histories of users in the training rows, by user and time, and `queries` their
    query columns. `learned` `[P]` are the places in both of the pairs to learn from; the others
    are rows of the split "history", which only extend the histories. `evaluation` has the queries
    of valid and test, `evaluation_batches` their query columns. `rows` are all positives, and
    `encoded` their query columns.
    """

    encoder: Encoder
    sides: TowerColumns
    items: ItemTable
    item_batch: Batch
    train: Histories
    queries: Batch
    learned: Indices
    evaluation: dict[str, EvaluationQueries]
    evaluation_batches: dict[str, Batch]
    rows: PositiveRows
    encoded: Batch
    facts: DatasetStats

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training rows of each item `[N]`."""
        return np.bincount(self.train.items[self.learned], minlength=len(self.items))

    def with_valid(self) -> RetrievalData:
        """Return the same data with the pairs of train and valid rows as training pairs."""
        known = np.flatnonzero(self.rows.split < SPLITS.index("test"))
        return replace(
            self,
            train=_histories(self.rows, known),
            queries=self.encoded.take(known),
            learned=_learned(self.rows, known),
        )

    def query_encoder(self) -> QueryEncoder:
        """Return the encoder of queries."""
        return QueryEncoder(self.encoder, self.sides, self.items.ids)


def prepare_retrieval(
    recipe: Recipe,
    source: Source,
    *,
    encoder: Encoder | EncoderFit | None = None,
    on_progress: OnProgress = no_progress,
) -> RetrievalData:
    """Return encoded pairs and evaluation queries.

    Raises:
        RecipeError: the columns of the towers are wrong.
        DataError: a bad cell, an empty split, or rows without a user or a known item.

    """
    sides = tower_columns_of(recipe)
    rows = read_positives(recipe, source, sides, on_progress)
    evaluation = queries_of(recipe, rows)
    _check_splits(rows, evaluation, splits_of(recipe.data.split))
    encoder = encoder or EncoderFit(recipe.schema_)
    if isinstance(encoder, EncoderFit):
        encoder = _fit(recipe, encoder, rows, sides)
    encoded = PartialEncoder(encoder, sides.query).encode(rows.frame)
    item_batch = PartialEncoder(encoder, sides.item)
    wide = item_batch.widen(item_batch.encode(rows.items.cleaned))
    facts = _facts(recipe, source, rows, evaluation, [encoded.take(_known(rows)), wide])
    return assembled(recipe, rows, encoder, (encoded, wide), facts)


def queries_of(recipe: Recipe, rows: PositiveRows) -> dict[str, EvaluationQueries]:
    """Return the queries of valid and test."""
    section = retrieval_section_of(recipe)
    limits = {"valid": section.valid_queries, "test": None}
    return {
        name: evaluation_queries(
            rows,
            SPLITS.index(name),
            by_user=section.user is not None,
            seen=section.seen_rule,
            at_most=limit,
        )
        for name, limit in limits.items()
    }


def assembled(
    recipe: Recipe,
    rows: PositiveRows,
    encoder: Encoder,
    batches: tuple[Batch, Batch],
    facts: DatasetStats,
) -> RetrievalData:
    """Return the data of a training run.

    Args:
        recipe: with a retrieval section.
        rows: all positives.
        encoder: of all columns.
        batches: query columns of all positives `[R]`, and items `[N]` in the model's layout.
        facts: statistics of the data.

    """
    evaluation, train = queries_of(recipe, rows), _known(rows)
    return RetrievalData(
        encoder=encoder,
        sides=tower_columns_of(recipe),
        items=rows.items,
        item_batch=batches[1],
        train=_histories(rows, train),
        queries=batches[0].take(train),
        learned=_learned(rows, train),
        evaluation=evaluation,
        evaluation_batches={n: batches[0].take(q.rows) for n, q in evaluation.items()},
        rows=rows,
        encoded=batches[0],
        facts=facts,
    )


def _known(rows: PositiveRows) -> Indices:
    """Return the places of the training rows, and of those that only extend histories."""
    return np.flatnonzero((rows.split == 0) | (rows.split == HISTORY_ROWS))


def _histories(rows: PositiveRows, known: Indices) -> Histories:
    """Return the histories of users in some rows."""
    times = None if rows.times is None else rows.times[known]
    return Histories.of(rows.user[known], rows.item[known], users=len(rows.users), times=times)


def _learned(rows: PositiveRows, known: Indices) -> Indices:
    """Return the places, among known rows, of those to learn from."""
    return np.flatnonzero(rows.split[known] != HISTORY_ROWS)


def _fit(recipe: Recipe, fit: EncoderFit, rows: PositiveRows, sides: TowerColumns) -> Encoder:
    """Fit vocabularies and statistics on the training pairs, with items as often as they occur."""
    train = np.flatnonzero(rows.split == 0)
    frame = pl.concat([rows.take(train), rows.items.cleaned[rows.item[train]]], how="horizontal")
    history = sides.history or ""
    column = recipe.schema_.columns.get(history)
    if isinstance(column, Sequence | Bag):
        ids = rows.items.ids.gather(rows.item[train])
        lists = ids.reshape((-1, 1)) if column.table is None else ids.head(0).implode()
        frame = frame.with_columns(_lists(lists, len(train)).alias(history))
    fit.add(frame)
    encoder = fit.finish()
    if not isinstance(column, Sequence | Bag):
        return encoder
    state = replace(encoder.states[history], length=column.max_len or _longest(rows))
    return replace(encoder, states=encoder.states | {history: state})


def _longest(rows: PositiveRows) -> int:
    """Return the length of the longest history of train and valid rows."""
    known = rows.user[rows.split < SPLITS.index("test")]
    return max(int(np.bincount(known, minlength=1).max()), 1)


def _lists(lists: pl.Series, rows: int) -> pl.Series:
    if isinstance(lists.dtype, pl.Array):
        return lists.arr.to_list()
    return lists.new_from_index(0, rows)


def _check_splits(
    rows: PositiveRows, queries: dict[str, EvaluationQueries], splits: tuple[str, ...]
) -> None:
    counts = {name: int((rows.split == i).sum()) for i, name in enumerate(SPLITS)}
    empty = [n for n in splits if counts[n] == 0 or (n in queries and not len(queries[n]))]
    if empty:
        words = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise DataError(
            f"the {empty[0]} split has no relevant items ({words} rows); change data.split, give"
            " more rows, or set retrieval.exclude_seen: false if users return to the same items"
        )


def _facts(
    recipe: Recipe,
    source: Source,
    rows: PositiveRows,
    queries: dict[str, EvaluationQueries],
    batches: list[Batch],
) -> DatasetStats:
    digest = hashlib.blake2b(digest_size=16)
    for batch in batches:
        for tensor in batch.tensors():
            digest.update(tensor.numpy().tobytes())
    read = [rows.user, rows.item, rows.split]
    timed = timed_history(recipe.schema_, retrieval_section_of(recipe).history.column)
    if timed and rows.times is not None:
        read.append(rows.times)
    for array in read:
        digest.update(array.tobytes())
    return DatasetStats(
        source=source.name,
        split=split_words(recipe.data.split, rows.clocks),
        rows={name: int((rows.split == i).sum()) for i, name in enumerate(SPLITS)},
        base_rates={},
        notes=tuple(_notes(recipe, rows, queries["test"])),
        joins=rows.joins,
        fingerprint=digest.hexdigest(),
        relevant_counts=queries["test"].counts,
        until=rows.until,
    )


def _notes(recipe: Recipe, rows: PositiveRows, test: EvaluationQueries) -> list[str]:
    """Return sentences about the catalogue, repeated pairs, cold items and cold users."""
    notes = [match.sentence for match in rows.joins]
    notes += [f"{count:,} rows left out for '{name}'" for name, count in rows.skipped.items()]
    train = rows.split == 0
    items = len(rows.items)
    trained = len(np.unique(rows.item[train]))
    catalogue = f"{items:,} items, {items - trained:,} of them without a training positive"
    if rows.items.missing and rows.items.attributes.columns != [retrieval_section_of(recipe).item]:
        catalogue += (
            f"; the columns of {rows.items.missing:,} are missing, as no training row has them:"
            " give all items a table (retrieval.items)"
        )
    notes.append(catalogue)
    pairs = np.unique(rows.user[train] * items + rows.item[train])
    if len(pairs) < train.sum():
        notes.append(f"{int(train.sum()) - len(pairs):,} training rows repeat a pair; they count")
    cold = int(test.cold().sum())
    if cold and (test.users >= 0).any():
        notes.append(f"{cold:,} of {len(test):,} test queries come from users without a history")
    return notes
