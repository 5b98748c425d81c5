"""Building of a retrieval run's index, with its recall and speed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import RunError
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.history_ages import now_in_seconds
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.open import save_index
from crosstower.retrieval.index.registry import IndexItems, build_engine, options_of
from crosstower.retrieval.index.search_effort import RECALL, recall_of
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import USER
from crosstower.storage.folders import origin_of, publish_changes

_QUERIES, _CALIBRATED, _K = 500, 128, 10
_ANN_FROM = 20_000


@dataclass(frozen=True)
class IndexFacts:
    """Size, speed and recall of an index, from `build_index`.

    >>> facts = IndexFacts("ann", {}, 50_000, 64, 2.1, 0.993, 9_000.0, 15.4, "films.index")
    >>> f"{facts.kind}: recall@10 {facts.recall:.3f}, {facts.queries_per_second:,.0f} queries/s"
    'ann: recall@10 0.993, 9,000 queries/s'

    Args:
        kind: of the engine.
        options: of the engine.
        items: number of items.
        width: D of the vectors.
        build_seconds: duration of the build.
        recall: recall@10 against the exact index, in [0, 1].
        queries_per_second: of one batch of queries.
        megabytes: size on disk.
        folder: of the index.

    """

    kind: str
    options: Mapping[str, Any]
    items: int
    width: int
    build_seconds: float
    recall: float
    queries_per_second: float
    megabytes: float
    folder: str


def build_index(
    retriever: Retriever, *, kind: str = "exact", options: Mapping[str, Any] | None = None
) -> IndexFacts:
    """Build and write the index of a run; an existing one is replaced at the end.

    >>> import crosstower as ct
    >>> facts = ct.retrieval.build_index(ct.Retriever.open("runs/items"))
    >>> facts.kind, facts.items, facts.recall
    ('exact', 10, 1.0)

    Args:
        retriever: an open run.
        kind: exact; ann, approximate; milvus (extra "milvus"); pgvector (extra
            "postgres"); or an engine of your own.
        options: of the engine: `storage` of exact and ann, `uri` and `collection` of milvus, those
            of `PgvectorIndex.Options`.

    Raises:
        QueryError: there is no such engine or option, or a package is not installed.

    """
    items, vectors = retriever.catalogue, retriever.vectors
    queries = examples(retriever)
    start = time.perf_counter()
    index = build_engine(kind, _items(retriever, queries), options)
    seconds = time.perf_counter() - start
    recall, speed = measured(index, items, vectors, queries)
    _replace(index, retriever, kind)
    publish_changes(retriever.run.folder, error=RunError)
    files = [f for f in retriever.index_folder.rglob("*") if f.is_file()]
    return IndexFacts(
        kind=kind,
        options=options_of(kind, options).model_dump(exclude_none=True),
        items=len(items),
        width=vectors.shape[1],
        build_seconds=round(seconds, 3),
        recall=recall,
        queries_per_second=round(speed),
        megabytes=round(sum(f.stat().st_size for f in files) / 1e6, 2),
        folder=str(origin_of(retriever.index_folder)),
    )


def choose_index(
    retriever: Retriever, engine: str, options: Mapping[str, Any] | None = None
) -> tuple[ItemIndex, str, float | None]:
    """Return an index, its kind, and recall@10 of an approximate one if it was tried.

    Args:
        retriever: an open run.
        engine: name of an engine; auto is approximate from 20,000 items on, unless its recall@10
            is below 0.95.
        options: of the engine.

    Raises:
        QueryError: there is no such engine or option.

    """
    items, vectors = retriever.catalogue, retriever.vectors
    kind = engine
    if engine == "auto":
        kind = "ann" if len(items) >= _ANN_FROM else "exact"
    if kind == "exact":
        return build_engine(kind, _items(retriever, None), options), kind, None
    queries = examples(retriever)
    index = build_engine(kind, _items(retriever, queries), options)
    unseen = queries[_CALIBRATED:] if len(queries) >= 2 * _CALIBRATED else queries
    recall = measured(index, items, vectors, unseen)[0]
    if engine == kind or recall >= RECALL:
        return index, kind, recall
    return build_engine("exact", _items(retriever, None), options), "exact", recall


def _items(retriever: Retriever, queries: NDArray[np.float32] | None) -> IndexItems:
    items, name = retriever.catalogue, retriever.run.recipe.name
    return IndexItems(items.ids, retriever.vectors, items.attributes, queries, name)


def measured(
    index: ItemIndex, items: Catalogue, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> tuple[float, float]:
    """Return recall@10 against the exact index, and queries per second.

    Args:
        index: to measure.
        items: of the index.
        vectors: `[N, D]` of the items.
        queries: `[Q, D]`.

    """
    truth = ExactIndex.build(items.ids, vectors).search(queries, _K)
    index.search(queries[:10], _K)
    start = time.perf_counter()
    found = index.search(queries, _K)
    speed = len(queries) / (time.perf_counter() - start)
    return recall_of(found.places_in(items), truth.places_in(items)), speed


def examples(retriever: Retriever) -> NDArray[np.float32]:
    """Return query vectors `[Q, D]` for measurements: of users, or of items with noise."""
    random = np.random.default_rng(0)
    vectors = retriever.vectors
    if retrieval_section_of(retriever.run.recipe).user is not None and retriever.users.height:
        ids = retriever.users[USER].sample(min(_QUERIES, retriever.users.height), seed=0)
        found = (retriever.queries.known(user) for user in ids)
        known, now = [one for one in found if one is not None], now_in_seconds()
        rows = [retriever.queries.row(one.id, one, {}) for one in known]
        history, ages = [one.history for one in known], [one.ages(now) for one in known]
        return retriever.queries.vectors(rows, history, ages)
    chosen = random.choice(len(vectors), min(_QUERIES, len(vectors)), replace=False)
    noise = vectors.std() * 0.5 * random.normal(size=(len(chosen), vectors.shape[1]))
    return (vectors[chosen] + noise).astype(np.float32)


def _replace(index: ItemIndex, retriever: Retriever, kind: str) -> None:
    folder = retriever.index_folder
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    save_index(index, aside, kind=kind, width=retriever.vectors.shape[1])
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
