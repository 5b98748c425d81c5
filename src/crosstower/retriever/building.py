"""Build the index of a retrieval run, and say how good and how fast it is."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import QueryError
from crosstower.retrieve.ann import AnnIndex
from crosstower.retrieve.exact import ExactIndex
from crosstower.retrieve.index import ItemIndex
from crosstower.retrieve.milvus import MilvusIndex
from crosstower.retrieve.vectors import Storage
from crosstower.retriever.retriever import Retriever

Kind = Literal["exact", "ann", "milvus"]
_QUERIES, _K = 500, 10


@dataclass(frozen=True)
class IndexFacts:
    """`recall` is the share of the exact first ten that the index finds."""

    kind: Kind
    storage: Storage
    items: int
    width: int
    build_seconds: float
    recall: float
    queries_per_second: float
    megabytes: float
    folder: str


def build_index(
    retriever: Retriever,
    *,
    kind: Kind = "exact",
    storage: Storage = "float32",
    uri: str | None = None,
    collection: str | None = None,
) -> IndexFacts:
    """Write the index of a run; one that is there already is replaced once the new one is whole.

    Args:
        retriever: an open run.
        kind: exact; ann (extra "ann"); milvus (extra "milvus").
        storage: of exact and ann.
        uri: where Milvus is.
        collection: its name there, the recipe's if None.

    Raises:
        QueryError: uri without milvus or milvus without uri, or a package is not installed.

    """
    if (uri is not None) is not (kind == "milvus"):
        raise QueryError("uri: goes with --kind milvus, such as http://HOST:19530 or items.db")
    items, vectors = retriever.catalogue, retriever.vectors
    start = time.perf_counter()
    index: ItemIndex
    if kind == "milvus":
        name = collection or retriever.run.recipe.name.replace("-", "_").replace(".", "_")
        index = MilvusIndex.build(uri or "", name, items.ids, vectors, items.attributes)
    else:
        maker = AnnIndex if kind == "ann" else ExactIndex
        index = maker.build(items.ids, vectors, items.attributes, storage=storage)
    seconds = time.perf_counter() - start
    recall, speed = _measured(index, retriever, vectors)
    _replace(index, retriever.index_folder)
    files = [f for f in retriever.index_folder.rglob("*") if f.is_file()]
    return IndexFacts(
        kind=kind,
        storage=storage,
        items=len(items),
        width=vectors.shape[1],
        build_seconds=round(seconds, 3),
        recall=recall,
        queries_per_second=round(speed),
        megabytes=round(sum(f.stat().st_size for f in files) / 1e6, 2),
        folder=str(retriever.index_folder),
    )


def _measured(
    index: ItemIndex, retriever: Retriever, vectors: NDArray[np.float32]
) -> tuple[float, float]:
    """Return recall@10 and queries/s of items as queries, which lie where queries do."""
    random = np.random.default_rng(0)
    chosen = random.choice(len(vectors), min(_QUERIES, len(vectors)), replace=False)
    noise = vectors.std() * 0.5 * random.normal(size=(len(chosen), vectors.shape[1]))
    queries = (vectors[chosen] + noise).astype(np.float32)
    truth = ExactIndex.build(retriever.catalogue.ids, vectors).search(queries, _K)
    index.search(queries[:10], _K)
    start = time.perf_counter()
    found = index.search(queries, _K)
    speed = len(queries) / (time.perf_counter() - start)
    pairs = [(set(found.ids(i)), set(truth.ids(i))) for i in range(len(queries))]
    return float(np.mean([len(one & other) / len(other) for one, other in pairs])), speed


def _replace(index: ItemIndex, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    index.save(aside)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
