"""Lists of evaluation queries merged from all sources, as a server without a ranker gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crosstower.data.progress import OnProgress
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.sources import MODEL, kinds_of
from crosstower.retrieval.candidates import evaluated_candidates, evaluated_queries
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.evaluation_fallback import query_segments
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import FOLDER, load_lists, write_lists
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id

_FOLDER = "merged"


def merges_sources(recipe: Recipe) -> bool:
    """Return whether the lists of a recipe have other sources than its retrieval model."""
    return bool(set(kinds_of(recipe.sources or {}).values()) - {MODEL})


def merged_lists(
    retriever: Retriever,
    vectors: NDArray[np.float32],
    queries: EvaluationQueries,
    k: int,
    *,
    informed: NDArray[np.bool_],
    segments: Sequence[Id | None] | None = None,
) -> Indices:
    """Return the lists `[Q, k]` of all sources; -1 ends a list early.

    Args:
        retriever: with sources.
        vectors: `[Q, D]` of the queries.
        queries: Q of them.
        k: length of a list.
        informed: `[Q]`, whether the query tower knows anything of a query.
        segments: `[Q]`, of the queries; None without segments.

    """
    found = evaluated_candidates(
        retriever, vectors, queries, k, informed=informed, segments=segments
    ).places
    shown = np.full((len(queries), k), -1, np.int64)
    shown[:, : found.shape[1]] = found
    return shown


def write_merged_lists(
    folder: Path, recipe: Recipe, data: RetrievalData, on_progress: OnProgress
) -> None:
    """Write the merged lists of the test queries to a run folder; none without sources."""
    if not merges_sources(recipe):
        return
    on_progress("merging the sources")
    run, queries = Run.open(folder), data.evaluation["test"]
    segments = query_segments(recipe, data.rows.take(queries.rows))
    columns, k = data.evaluation_batches["test"], retrieval_section_of(recipe).k[-1]
    for seed in run.info.seeds:
        retriever = Retriever.open(run, seed=seed)
        vectors, informed = evaluated_queries(retriever, queries, columns)
        shown = merged_lists(
            retriever, vectors.numpy(), queries, k, informed=informed, segments=segments
        )
        write_lists(_path(folder, seed), shown)


def read_merged_lists(run: Run) -> list[Indices]:
    """Return the merged lists of the test queries by seed; none without sources."""
    paths = [_path(run.folder, seed) for seed in run.info.seeds]
    return [load_lists(path) for path in paths] if paths[0].is_file() else []


def _path(folder: Path, seed: int) -> Path:
    return folder / FOLDER / _FOLDER / f"seed-{seed}.parquet"
