"""Evaluation of a retrieval run on other rows, such as a test file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.progress import no_progress
from crosstower.data.reading import source_of, undivided
from crosstower.errors import DataError, RunError, notify
from crosstower.evaluation.reports.content import DataFacts, RetrievalReport
from crosstower.evaluation.reports.retrieval_report import RelevantItems, retrieval_report
from crosstower.retrieval.baselines.baseline import Baseline, histories_of
from crosstower.retrieval.baselines.ease import Ease
from crosstower.retrieval.baselines.fit_baselines import (
    lists_of_queries,
    omission_words,
    omitted_baselines,
    ordered,
)
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.baselines.transitions import TransitionGraph
from crosstower.retrieval.candidates import evaluated_queries
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries, queries_from_rows
from crosstower.retrieval.data.histories import Histories
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import PositiveRows, read_positives
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.evaluation_fallback import query_segments, with_popular
from crosstower.retrieval.index.vectors import Vectors, top_places
from crosstower.retrieval.merged_lists import merged_lists, merges_sources
from crosstower.retrieval.popular_items import PopularOrder
from crosstower.retrieval.results import write_retrieval_report
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import (
    COUNT,
    FOLDER,
    ID,
    SEEN_ITEMS,
    USER,
    histories_of_users,
    read,
)
from crosstower.retrieval.sources.advice import serving_advice
from crosstower.storage.folders import publish_changes
from crosstower.training.history import report_of
from crosstower.training.run import Run
from crosstower.values.addresses.address import Place
from crosstower.values.arrays import Indices
from crosstower.values.columns import matched
from crosstower.values.ids import Id


def evaluate_retrieval_on(
    run: Run, data: Any, out: Place | None = None
) -> tuple[RetrievalReport, Place]:
    """Evaluate the models of all seeds on the positives of other rows; return report and page.

    Histories come from the run's rows, and baselines are fitted on the same rows. Items must be in
    the run's catalogue. The page is `out`, or `report-NAME.html` in the run folder.

    Raises:
        DataError: a column is missing, no row is a positive, an item is not in the catalogue.

    """
    source = source_of(run.recipe.data, data)
    retriever = Retriever.open(run)
    table = ItemTable(retriever.items[ID], retriever.catalogue.attributes, pl.DataFrame())
    recipe = undivided(run.recipe)
    rows = read_positives(recipe, source, tower_columns_of(recipe), no_progress, items=table)
    earlier = earlier_of(run, rows)
    section = retrieval_section_of(run.recipe)
    queries = queries_from_rows(
        rows,
        np.arange(len(rows.user)),
        earlier,
        by_user=section.user is not None,
        seen=section.seen_rule,
    )
    if not len(queries):
        raise DataError(
            f"{source.name}: no relevant item is left: all are in the histories of their"
            " users; give rows that the run has not seen, or set retrieval.exclude_seen: false"
        )
    side = PartialEncoder(run.encoder, tower_columns_of(recipe).query)
    frame = rows.take(queries.rows)
    compact = side.encode(frame)
    k = section.k[-1]
    popular, segments = retriever.popular_order, query_segments(run.recipe, frame)
    lists = [
        _seed_lists(run, seed, queries, compact, k, popular=popular, segments=segments)
        for seed in run.info.seeds
    ]
    report = retrieval_report(
        {next(iter(run.info.models)): [shown for shown, _ in lists]},
        _baselines(run, queries, k),
        RelevantItems(
            queries.relevant,
            queries.cold(),
            retriever.items[COUNT].to_numpy(),
            queries.counts,
        ),
        section.k,
        advice=serving_advice(run.recipe, run.place, len(table)),
        merged=[merged for _, merged in lists if merged is not None],
    )
    left_out = [f"{n:,} rows left out for '{c}'" for c, n in rows.skipped.items()]
    left_out += omission_words(_omitted(run, len(table)))
    notes = [*(match.sentence for match in rows.joins), *left_out]
    notify([*(match.sentence for match in rows.joins if match.low), *left_out])
    facts = DataFacts(
        source.name, "none: all rows", {"these rows": len(rows.user)}, {}, tuple(notes)
    )
    path = out or report_of(run, source)
    page = write_retrieval_report(run, report, path, facts=facts)
    publish_changes(run.folder, error=RunError)
    return report, page


def earlier_of(run: Run, rows: PositiveRows) -> Histories:
    """Return the run's histories of the users of these rows."""
    if retrieval_section_of(run.recipe).user is None:
        return Histories(np.empty(0, np.int64), np.zeros(len(rows.users) + 1, np.int64))
    users = read(run.folder / FOLDER / "users.parquet")
    wanted = pl.DataFrame({USER: matched(rows.users, users[USER])})
    found = wanted.join(users, on=USER, how="left", maintain_order="left")
    return histories_of_users(found)


def _seed_lists(
    run: Run,
    seed: int,
    queries: EvaluationQueries,
    compact: Batch,
    k: int,
    *,
    popular: PopularOrder,
    segments: tuple[Id | None, ...] | None,
) -> tuple[Indices, Indices | None]:
    """Return the lists `[Q, k]` of the model, and those of all sources if the recipe has some."""
    retriever = Retriever.open(run, seed=seed)
    found, informed = evaluated_queries(retriever, queries, compact)
    vectors = Vectors.encode(retriever.vectors, "float32")
    shown = top_places(found, vectors, k, excluded=queries.seen)[0]
    shown = with_popular(shown, ~informed, queries, popular, segments)
    if not merges_sources(run.recipe):
        return shown, None
    merged = merged_lists(
        retriever, found.numpy(), queries, k, informed=informed, segments=segments
    )
    return shown, merged


def _omitted(run: Run, items: int) -> dict[str, str]:
    """Return reasons for omitted baselines; other rows are compared with all available ones."""
    retrieval = retrieval_section_of(run.recipe).model_copy(update={"baselines": None})
    return omitted_baselines(run.recipe.model_copy(update={"retrieval": retrieval}), items)


def _baselines(run: Run, queries: EvaluationQueries, k: int) -> Iterator[tuple[str, Indices]]:
    """Yield the lists of the default baselines of users with their default settings, in turn."""
    counts = read(run.folder / FOLDER / "items.parquet")[COUNT].to_numpy()
    items, popularity = len(counts), Popularity(counts.astype(np.float32))
    fits: dict[str, Callable[[], Baseline]] = {"popularity": lambda: popularity}
    if retrieval_section_of(run.recipe).user is not None:
        users = read(run.folder / FOLDER / "users.parquet")
        pairs = users.select(SEEN_ITEMS).with_row_index("user").explode(SEEN_ITEMS)
        places = pairs["user"].to_numpy().astype(np.int64), pairs[SEEN_ITEMS].to_numpy()
        shape = users.height, items
        histories = histories_of(*places, shape=shape)
        fits["item_knn"] = lambda: ItemKnn.fit(histories)
        if ordered(run.recipe):
            fits["transition_graph"] = lambda: TransitionGraph.of(*places, shape=shape)
        if not _omitted(run, items):
            fits["ease"] = lambda: Ease.fit(histories)
    for name, fit in fits.items():
        yield name, lists_of_queries(fit(), queries, k, counts=counts)
