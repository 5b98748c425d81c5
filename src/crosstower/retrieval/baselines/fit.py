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
from crosstower.evaluation.metrics.lists import list_metrics
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Text
from crosstower.retrieval.baselines.bm25 import Bm25
from crosstower.retrieval.baselines.lists import best_items, recommend
from crosstower.retrieval.baselines.models import (
    EASE_LIMIT,
    Baseline,
    Ease,
    ImplicitAls,
    ItemKnn,
    Popularity,
    histories_of,
)
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.files import FOLDER, write_lists
from crosstower.values.arrays import Indices

Fit = Callable[[Any], Baseline]


def baseline_names(recipe: Recipe, items: int) -> list[str]:
    """Return the baselines of a recipe; by default all that its data allows.

    Raises:
        RecipeError: one needs users or texts that the recipe does not have, or fewer items.

    """
    section = retrieval_section_of(recipe)
    possible = ["popularity"]
    if section.user is not None:
        possible += ["item_knn", *(["ease"] if items <= EASE_LIMIT else [])]
    if _texts_of(recipe, query=True):
        possible.append("bm25")
    if section.baselines is None:
        return possible
    for name in section.baselines:
        if name not in possible and not (name == "implicit_als" and section.user is not None):
            needs = "text in the query" if name == "bm25" else "retrieval.user"
            if name == "ease" and section.user is not None:
                needs = f"a catalogue of at most {EASE_LIMIT:,} items"
            raise RecipeError(f"retrieval.baselines: {name} needs {needs}; remove it")
    return list(section.baselines)


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
    histories, refit = _histories(data), recipe.training.refit
    best, score, shown = _FITS[name][0], -math.inf, None
    for fit in _FITS[name] if len(_FITS[name]) > 1 else ():
        found, lists = _tried(fit(histories), data, k, tested=not refit)
        if found > score:
            best, score, shown = fit, found, lists
    if shown is not None:
        return shown
    return _recommended(
        best(_histories(data.with_valid()) if refit else histories), data, "test", k
    )


def _tried(
    baseline: Baseline, data: RetrievalData, k: int, *, tested: bool
) -> tuple[float, Indices | None]:
    """Return NDCG on the valid queries, and the test lists; the baseline itself is not kept."""
    return _ndcg(baseline, data, k), _recommended(baseline, data, "test", k) if tested else None


def _histories(data: RetrievalData) -> Any:
    """Return the training pairs as a sparse matrix `[U, N]`."""
    train = data.train.pairs(np.arange(len(data.rows.users)))
    return histories_of(*train, shape=(len(data.rows.users), len(data.items)))


_FITS: dict[str, tuple[Fit, ...]] = {
    "popularity": (Popularity.fit,),
    "item_knn": tuple(
        lambda h, shrink=shrink: ItemKnn.fit(h, shrink=shrink) for shrink in (1.0, 10.0, 100.0)
    ),
    "ease": tuple(lambda h, l2=l2: Ease.fit(h, l2=l2) for l2 in (100.0, 500.0, 2000.0)),
    "implicit_als": tuple(
        lambda h, factors=factors: ImplicitAls.fit(h, factors=factors) for factors in (32, 64, 128)
    ),
}


def _recommended(baseline: Baseline, data: RetrievalData, split: str, k: int) -> Indices:
    queries = data.evaluation[split]
    pairs = queries.earlier.pairs(queries.users)
    histories = histories_of(*pairs, shape=(len(queries), len(data.items)))
    return recommend(baseline, histories, k, seen=queries.seen)


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
    items = data.items.cleaned.with_row_index("item").select(
        pl.col("item").cast(pl.Int64), own=pl.concat_str(columns, separator=" ", ignore_nulls=True)
    )
    both = items.join(found, on="item", how="left", maintain_order="left")
    index = Bm25.fit(
        both.select(pl.concat_str("own", "text", separator=" ", ignore_nulls=True)).to_series()
    )
    queries = data.evaluation["test"]
    texts = query.gather(queries.rows)
    return best_items(
        lambda part: index.scores(texts[part]), rows=len(texts), k=k, seen=queries.seen
    )


def _texts_of(recipe: Recipe, *, query: bool) -> list[str]:
    item = recipe.model.get("item", [])
    columns = recipe.schema_.columns.items()
    return [n for n, c in columns if isinstance(c, Text) and (n in item) is not query]
