"""Fitting of a retrieval run's baselines, each with one setting chosen on the valid queries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.progress import OnProgress
from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Bag, Text
from crosstower.recipe.split import order_of
from crosstower.retrieval.baselines.baseline import Baseline, histories_of
from crosstower.retrieval.baselines.bm25 import Bm25
from crosstower.retrieval.baselines.bspm import Bspm
from crosstower.retrieval.baselines.ease import EASE_LIMIT, Ease
from crosstower.retrieval.baselines.graph_filter import GraphFilter
from crosstower.retrieval.baselines.implicit_als import ImplicitAls
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.baselines.top_items import best_items, recommend
from crosstower.retrieval.baselines.transitions import TransitionGraph
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.run_files import FOLDER, write_lists
from crosstower.values.arrays import Indices

Fit = Callable[[RetrievalData], Baseline]

_BY_NAME = ("graph_filter", "bspm", "implicit_als")
"""Baselines of any recipe with users that names them."""


def baseline_names(recipe: Recipe, items: int) -> list[str]:
    """Return the baselines of a recipe; by default all baselines that its data allows.

    Raises:
        RecipeError: one needs users or texts that the recipe does not have, or fewer items.

    """
    section = retrieval_section_of(recipe)
    possible = ["popularity"]
    if section.user is not None:
        possible += ["item_knn", *(["transition_graph"] if ordered(recipe) else [])]
        possible += ["ease"] if items <= EASE_LIMIT else []
        possible += ["graph_filter"] if _reads_a_set(recipe) else []
    if _texts_of(recipe, query=True):
        possible.append("bm25")
    if section.baselines is None:
        return possible
    for name in section.baselines:
        by_name = name in _BY_NAME and section.user is not None
        if name not in possible and not by_name:
            needs = _needs(name, users=section.user is not None)
            raise RecipeError(f"retrieval.baselines: {name} needs {needs}; remove it")
    return list(section.baselines)


def ordered(recipe: Recipe) -> bool:
    """Return whether a column orders the rows of a user."""
    time = retrieval_section_of(recipe).time
    return time is not None or order_of(recipe.data.split) is not None


def _reads_a_set(recipe: Recipe) -> bool:
    """Return whether histories are unordered sets."""
    history = retrieval_section_of(recipe).history.column
    return isinstance(recipe.schema_.columns.get(history or ""), Bag)


def _needs(name: str, *, users: bool) -> str:
    """Return the requirement of a baseline that the recipe does not meet."""
    if name == "bm25":
        return "text in the query"
    if not users:
        return "retrieval.user"
    if name == "transition_graph":
        return "retrieval.time, the column that orders a user's rows"
    return f"a catalogue of at most {EASE_LIMIT:,} items"


def omitted_baselines(recipe: Recipe, items: int) -> dict[str, str]:
    """Return {baseline: reason} of the default baselines that are omitted."""
    section = retrieval_section_of(recipe)
    if section.baselines is not None or section.user is None or items <= EASE_LIMIT:
        return {}
    reason = f"{items:,} items are more than the {EASE_LIMIT:,} that its matrix is made for"
    return {"ease": reason}


def omission_words(omitted: Mapping[str, str]) -> list[str]:
    """Return one sentence per omitted baseline."""
    return [f"baseline {name} left out: {reason}" for name, reason in omitted.items()]


def write_baselines(
    folder: Path, recipe: Recipe, data: RetrievalData, on_progress: OnProgress
) -> None:
    """Write the test lists of every baseline that has none yet."""
    for name in baseline_names(recipe, len(data.items)):
        path = folder / FOLDER / "baselines" / f"{name}.parquet"
        if not path.is_file():
            on_progress(f"baseline {name}")
            write_lists(path, _lists(name, recipe, data))


def _lists(name: str, recipe: Recipe, data: RetrievalData) -> Indices:
    k = retrieval_section_of(recipe).k[-1]
    if name == "bm25":
        return _bm25(recipe, data, k)
    best, shown = _chosen(name, data, k, tested=not recipe.training.refit)
    if shown is not None:
        return shown
    return _recommended(best(data.with_valid() if recipe.training.refit else data), data, "test", k)


def fitted_baseline(name: str, recipe: Recipe, data: RetrievalData) -> Baseline:
    """Return a baseline whose setting is chosen on the valid queries.

    Args:
        name: of the baseline, except bm25.
        recipe: with a retrieval section; with `training.refit` the rows are train and valid rows.
        data: of the training.

    """
    best, _ = _chosen(name, data, retrieval_section_of(recipe).k[-1], tested=False)
    return best(data.with_valid() if recipe.training.refit else data)


def _chosen(name: str, data: RetrievalData, k: int, *, tested: bool) -> tuple[Fit, Indices | None]:
    """Return the fit with the best NDCG on the valid queries, and its test lists if wanted."""
    fits = _FITS[name]
    best, score, shown = fits[0], -math.inf, None
    for fit in fits if len(fits) > 1 else ():
        found, lists = _tried(fit(data), data, k, tested=tested)
        if found > score:
            best, score, shown = fit, found, lists
    return best, shown


def _tried(
    baseline: Baseline, data: RetrievalData, k: int, *, tested: bool
) -> tuple[float, Indices | None]:
    """Return NDCG on the valid queries, and the test lists; the baseline itself is not kept."""
    return _ndcg(baseline, data, k), _recommended(baseline, data, "test", k) if tested else None


def _histories(data: RetrievalData) -> Any:
    """Return the training pairs as a sparse matrix `[U, N]`."""
    train = data.train.pairs(np.arange(len(data.rows.users)))
    return histories_of(*train, shape=(len(data.rows.users), len(data.items)))


def _of_pairs(fit: Callable[[Any], Baseline]) -> Fit:
    """Return a fit that reads the training pairs as a sparse matrix `[U, N]`."""
    return lambda data: fit(_histories(data))


_FITS: dict[str, tuple[Fit, ...]] = {
    "popularity": (_of_pairs(Popularity.fit),),
    "item_knn": tuple(
        _of_pairs(lambda h, shrink=shrink: ItemKnn.fit(h, shrink=shrink))
        for shrink in (1.0, 10.0, 100.0)
    ),
    "transition_graph": tuple(
        lambda data, window=window: TransitionGraph.fit(
            data.train, items=len(data.items), window=window
        )
        for window in (1, 3, 10)
    ),
    "ease": tuple(_of_pairs(lambda h, l2=l2: Ease.fit(h, l2=l2)) for l2 in (100.0, 500.0, 2000.0)),
    "graph_filter": tuple(
        _of_pairs(lambda h, alpha=alpha: GraphFilter.fit(h, alpha=alpha))
        for alpha in (0.03, 0.1, 0.3)
    ),
    "bspm": tuple(
        _of_pairs(lambda h, time=time: Bspm.fit(h, sharpening=time)) for time in (0.5, 1.0, 2.0)
    ),
    "implicit_als": tuple(
        _of_pairs(lambda h, factors=factors: ImplicitAls.fit(h, factors=factors))
        for factors in (32, 64, 128)
    ),
}


def _recommended(baseline: Baseline, data: RetrievalData, split: str, k: int) -> Indices:
    return lists_of_queries(baseline, data.evaluation[split], k, counts=data.counts)


def lists_of_queries(
    baseline: Baseline, queries: EvaluationQueries, k: int, *, counts: Indices
) -> Indices:
    """Return a baseline's lists `[Q, k]` for the histories of queries.

    Args:
        baseline: a fitted one.
        queries: Q of them.
        k: at least 1.
        counts: `[N]`, training rows of the items, which decide between equal scores.

    """
    pairs, shape = queries.earlier.pairs(queries.users), (len(queries), len(counts))
    in_order = isinstance(baseline, TransitionGraph)
    make = baseline.histories_of if in_order else histories_of
    histories = make(*pairs, shape=shape)
    return recommend(baseline, histories, k, seen=queries.seen, counts=counts)


def _ndcg(baseline: Baseline, data: RetrievalData, k: int) -> float:
    shown = _recommended(baseline, data, "valid", k)
    found = list_metrics(shown, data.evaluation["valid"].relevant, [k])
    return float(np.nanmean(found[f"ndcg@{k}"]))


def _bm25(recipe: Recipe, data: RetrievalData, k: int) -> Indices:
    """Return BM25 over the items' own texts and the training queries that led to them."""
    names, rows = _texts_of(recipe, query=True), data.rows
    query = rows.frame.select(pl.concat_str(names, separator=" ", ignore_nulls=True)).to_series()
    train = rows.split <= int(recipe.training.refit)  # with valid rows, as the model
    found = pl.DataFrame({"item": rows.item[train], "text": query.filter(pl.Series(train))})
    found = found.group_by("item").agg(pl.col("text").str.join(" "))
    columns = [pl.col(n) for n in _texts_of(recipe, query=False)] or [pl.lit("")]
    items = data.items.cleaned.select(
        item=pl.int_range(pl.len(), dtype=pl.Int64),
        own=pl.concat_str(columns, separator=" ", ignore_nulls=True),
    )
    both = items.join(found, on="item", how="left", maintain_order="left")
    index = Bm25.fit(
        both.select(pl.concat_str("own", "text", separator=" ", ignore_nulls=True)).to_series()
    )
    queries = data.evaluation["test"]
    texts = query.gather(queries.rows)
    return best_items(
        lambda part: index.scores(texts[part]),
        rows=len(texts),
        k=k,
        seen=queries.seen,
        counts=data.counts,
    )


def _texts_of(recipe: Recipe, *, query: bool) -> list[str]:
    item = recipe.model.get("item", [])
    columns = recipe.schema_.columns.items()
    return [n for n, c in columns if isinstance(c, Text) and (n in item) is not query]
