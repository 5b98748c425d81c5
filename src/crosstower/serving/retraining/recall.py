"""Recall of two retrievers for the same queries, over the items that both know.

An item that only the new bundle knows would count for it whatever its vector is, and an item put to
the server is found by either; so both search the same items. Both read the same histories.
Shapes: Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.progress import no_progress
from crosstower.data.reading import training_source
from crosstower.data.split import SPLITS
from crosstower.evaluation.metrics.paired import mean_statistic
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.recipe.own_columns import ROW
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import GivenSplit, order_of
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries, evaluation_queries
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import (
    NoPositivesError,
    PositiveRows,
    read_positives,
)
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.index.vectors import Vectors, top_places
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.retraining.measures import BundleMeasures, Measure
from crosstower.serving.retraining.newest_rows import NewestRows

_TEST = SPLITS.index("test")


def recall_measures(
    live: Bundle,
    candidate: Bundle,
    rows: NewestRows,
    *,
    positives: pl.DataFrame | None = None,
    earlier: pl.DataFrame | None = None,
    k: int = 10,
) -> BundleMeasures:
    """Return the comparison of recall@k on the newest positives.

    Args:
        live: bundle that is served.
        candidate: bundle to be judged.
        rows: the newest rows.
        positives: raw rows that are positives; those of `rows` by `retrieval.where` if None.
        earlier: raw rows before them, for the histories of the same users; positives only if
            `positives` is given.
        k: length of the lists.

    Raises:
        DataError: the candidate cannot read the rows.

    """
    found = BundleMeasures()
    if live.retrieval is None or candidate.retrieval is None:
        return found
    given = positives is not None
    newest = rows.frame if positives is None else positives
    sides = [_Side(bundle.retriever(), chosen=given) for bundle in (live, candidate)]
    ids = [side.retriever.catalogue.ids for side in sides]
    if ids[0].dtype != ids[1].dtype:
        found.notes.append("item ids are numbers in one bundle only, so recall is not compared")
        return found
    shared = ids[1].filter(ids[1].is_in(ids[0].implode()))
    table = ItemTable(shared, pl.DataFrame(), pl.DataFrame())
    past = _of_users(earlier, newest, rows.user)
    both = [side.positives(newest, past, table) for side in sides]
    if both[0] is None or both[1] is None:
        found.notes.append("no row is a positive of both retrievers, so recall is not compared")
        return found
    if not both[0].frame[ROW].equals(both[1].frame[ROW]):
        found.notes.append("the retrievers read different rows, so recall is not compared")
        return found
    _compare(sides, (both[0], both[1]), k, found)
    return found


@dataclass(frozen=True)
class _Side:
    """The retriever of one of the two bundles; `chosen` rows are all positives."""

    retriever: Retriever
    chosen: bool

    @property
    def recipe(self) -> Recipe:
        """The recipe for rows that come divided; bad rows are left out."""
        recipe = self.retriever.run.recipe
        update = {"split": GivenSplit(), "valid": None, "test": None, "on_bad_rows": "skip"}
        section = retrieval_section_of(recipe)
        more = {"time": section.time or order_of(recipe.data.split)}
        if self.chosen:
            more["where"] = None
        return recipe.model_copy(
            update={
                "data": recipe.data.model_copy(update=update),
                "retrieval": section.model_copy(update=more),
            }
        )

    def positives(
        self, rows: pl.DataFrame, past: pl.DataFrame | None, items: ItemTable
    ) -> PositiveRows | None:
        """Return the positives with the retriever's query columns; None without any."""
        recipe, parts = self.recipe, {"test": rows}
        if past is not None and past.height:
            parts = {"train": past, **parts}
        source, sides = training_source(recipe.data, parts), tower_columns_of(recipe)
        try:
            return read_positives(recipe, source, sides, no_progress, items=items)
        except NoPositivesError:
            return None

    def recall(
        self, queries: EvaluationQueries, positives: PositiveRows, k: int
    ) -> NDArray[np.float64]:
        """Return recall@k `[Q]` over the items of the positives' table."""
        retriever, shared = self.retriever, positives.items.ids
        sides, encoder = tower_columns_of(retriever.run.recipe), retriever.run.encoder
        compact = PartialEncoder(encoder, sides.query).encode(positives.take(queries.rows))
        codes = QueryEncoder(encoder, sides, shared)
        found = query_vectors(
            retriever.model, codes, compact, queries.users, queries.earlier, times=queries.times
        )
        vectors = retriever.vectors[retriever.catalogue.places_of(shared)]
        encoded = Vectors.encode(vectors, "float32")
        shown = top_places(found, encoded, k, excluded=queries.seen)[0]
        return list_metrics(shown, queries.relevant, ks=[k])[f"recall@{k}"]


def _compare(
    sides: list[_Side], positives: tuple[PositiveRows, PositiveRows], k: int, found: BundleMeasures
) -> None:
    section = retrieval_section_of(sides[1].recipe)
    queries = evaluation_queries(
        positives[1], _TEST, by_user=section.user is not None, seen=section.seen_rule
    )
    if not len(queries):
        found.notes.append("no user has a new item that both bundles know; recall is not compared")
        return
    pairs = zip(sides, positives, strict=True)
    values = np.stack([side.recall(queries, rows, k) for side, rows in pairs], axis=1)
    recall = mean_statistic(values, np.arange(len(queries)))
    found.measures.append(Measure("retrieval", f"recall@{k}", recall, len(queries)))


def _of_users(
    earlier: pl.DataFrame | None, newest: pl.DataFrame, user: str | None
) -> pl.DataFrame | None:
    """Return the earlier rows of the users of the newest rows."""
    if earlier is None or user is None or user not in earlier.columns:
        return None
    return earlier.join(newest.select(user).unique(), on=user, how="semi")
