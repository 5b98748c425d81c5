"""External vector engines compared with embedded indexes: one query at a time, by condition.

pgvector uses the database of CROSSTOWER_PGVECTOR_URL, milvus the address of --milvus (Milvus Lite
in a file if unset). Each item has a number from 0 to 999 that conditions compare.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.machine import describe
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.milvus import MilvusIndex
from crosstower.retrieval.index.pgvector import PgvectorIndex
from crosstower.retrieval.index.pgvector_session import URL

K, SHARES = 10, 1_000
CONDITIONS = {
    "none": None, "50 %": "number < 500", "10 %": "number < 100", "1 %": "number < 10",
    "0.1 %": "number == 3",
}  # fmt: skip
Maker = Callable[[np.ndarray, pl.DataFrame], ItemIndex]


def external(
    x: np.ndarray, queries: np.ndarray, *, indexes: list[str], milvus: str | None, seed: int = 0
) -> None:
    """Print build time, recall@10 and latency per index and condition."""
    print(describe(items=len(x), dim=x.shape[1], queries=len(queries), seed=seed))
    numbers = np.random.default_rng(seed).integers(0, SHARES, len(x))
    attributes = pl.DataFrame({"number": numbers})
    print("| index | build s | kept | recall@10 | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
    exact = ExactIndex.build(range(len(x)), x, attributes)
    truth = {w: _found(exact, queries, w)[0] for w in CONDITIONS.values()}
    with tempfile.TemporaryDirectory() as folder:
        for name in indexes:
            start = time.perf_counter()
            index = _made(name, x, attributes, milvus or str(Path(folder) / "items.db"))
            built = time.perf_counter() - start
            for kept, where in CONDITIONS.items():
                _found(index, queries[:5], where)
                found, seconds = _found(index, queries, where)
                pairs = list(zip(found, truth[where], strict=True))
                recall = np.mean([len(one & other) / max(len(other), 1) for one, other in pairs])
                p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e3
                cells = f"{built:.0f} | {kept} | {recall:.4f} | {p50:.2f} | {p99:.2f}"
                print(f"| {name} | {cells} |", flush=True)


def _made(name: str, x: np.ndarray, attributes: pl.DataFrame, milvus: str) -> ItemIndex:
    ids = range(len(x))
    if name == "pgvector":
        if URL not in os.environ:
            raise SystemExit(f"pgvector: set {URL}, or leave it out of --indexes")
        return PgvectorIndex.build(ids, x, attributes)
    if name == "milvus":
        return MilvusIndex.build(milvus, f"benchmark_{len(x)}", ids, x, attributes)
    return (AnnIndex if name == "ours" else ExactIndex).build(ids, x, attributes)


def _found(
    index: ItemIndex, queries: np.ndarray, where: str | None
) -> tuple[list[set[int]], list[float]]:
    """Return the ids of each query, and the seconds of each search."""
    found, seconds = list[set[int]](), list[float]()
    for query in queries:
        start = time.perf_counter()
        hits = index.search(query[None], K, where=where)
        seconds.append(time.perf_counter() - start)
        found.append(set(hits.ids(0)))
    return found, seconds
