"""Embedded nearest-neighbour libraries beside our exact index: build, recall@10, queries/s.

Vectors lie around 1,000 centres, as trained item vectors do; queries are drawn likewise. Needs
usearch, faiss-cpu and hnswlib; what is not installed is left out and named. At the end our index
beside the engine that it wraps, in turn: one query at a time, and all at once.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.machine import describe
from crosstower.retrieve.ann import AnnIndex
from crosstower.retrieve.exact import ExactIndex

K, LINKS, BUILD_WIDTH = 10, 16, 128
Searcher = Callable[[np.ndarray], np.ndarray]


def clustered(count: int, dim: int, seed: int) -> np.ndarray:
    centres = np.random.default_rng(0).normal(size=(1000, dim))
    random = np.random.default_rng(seed)
    x = centres[random.integers(0, 1000, count)] + 0.7 * random.normal(size=(count, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def build_usearch(x: np.ndarray, width: int) -> Searcher:
    from usearch.index import Index

    index = Index(
        ndim=x.shape[1], metric="ip", dtype="f32", connectivity=LINKS,
        expansion_add=BUILD_WIDTH, expansion_search=width,
    )  # fmt: skip
    index.add(np.arange(len(x)), x)
    return lambda queries: np.asarray(index.search(queries, K).keys)


def build_faiss(x: np.ndarray, width: int) -> Searcher:
    import faiss

    index: Any = faiss.IndexHNSWFlat(x.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_WIDTH, width
    index.add(x)
    return lambda queries: index.search(queries, K)[1]


def build_hnswlib(x: np.ndarray, width: int) -> Searcher:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=x.shape[1])
    index.init_index(max_elements=len(x), M=LINKS, ef_construction=BUILD_WIDTH)
    index.add_items(x)
    index.set_ef(width)
    return lambda queries: index.knn_query(queries, k=K)[0]


def build_exact(x: np.ndarray, width: int) -> Searcher:  # noqa: ARG001 - one way in
    index = ExactIndex.build(np.arange(len(x)), x)
    return lambda queries: index.search(queries, K).places


BUILDERS = {
    "exact": build_exact,
    "usearch": build_usearch,
    "faiss": build_faiss,
    "hnswlib": build_hnswlib,
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ann", description=__doc__)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--indexes", nargs="+", choices=BUILDERS, default=list(BUILDERS))
    options = parser.parse_args(arguments)
    print(describe(items=options.items, dim=options.dim, links=LINKS, build_width=BUILD_WIDTH))
    print("| index | search width | build s | recall@10 | queries/s |\n|---|---|---|---|---|---|")
    x = clustered(options.items, options.dim, 1)
    queries = clustered(options.queries, options.dim, 2)
    truth = build_exact(x, 0)(queries)
    for name, build in ((n, BUILDERS[n]) for n in options.indexes):
        if name != "exact" and importlib.util.find_spec(name) is None:
            print(f"| {name} | not installed | | | |")
            continue
        for width in options.widths if name != "exact" else [0]:
            start = time.perf_counter()
            search = build(x, width)
            built = time.perf_counter() - start
            search(queries[:10])
            start = time.perf_counter()
            found = search(queries)
            speed = len(queries) / (time.perf_counter() - start)
            pairs = zip(found, truth, strict=True)
            recall = np.mean([len(set(f) & set(t)) / K for f, t in pairs])
            cells = f"{built:.1f} | {recall:.4f} | {speed:,.0f}"
            print(f"| {name} | {width or ''} | {cells} |", flush=True)
    if "usearch" in options.indexes:
        overhead(x, queries)


def overhead(x: np.ndarray, queries: np.ndarray, rounds: int = 9) -> None:
    """Print how much longer our index takes than its engine asked directly."""
    index = AnnIndex.build(np.arange(len(x)), x)
    padded = np.concatenate([queries, np.zeros((len(queries), 1), np.float32)], axis=1)
    one, one_padded = queries[:300, None], padded[:300, None]
    ways = {
        "one query at a time": (
            lambda: [index.search(q, K) for q in one],
            lambda: [index._graph.search(q, K) for q in one_padded],
        ),
        f"{len(queries):,} at once": (
            lambda: index.search(queries, K),
            lambda: index._graph.search(padded, K),
        ),
    }
    for words, (ours, raw) in ways.items():
        ratios = [seconds(ours) / seconds(raw) for _ in range(rounds)]
        print(f"{words}: {np.median(ratios):.2f}x the time of usearch itself (median of {rounds})")


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
