"""Our indexes compared with embedded libraries: build time, recall@10, queries/s.

Vectors lie around 1,000 centres; queries are drawn likewise. Needs usearch, faiss-cpu and hnswlib;
what is not installed is left out and named. With --filtered: searches with conditions, one query
at a time, compared with two indexes of faiss. With --external: pgvector and milvus.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ann_external import external
from benchmarks.ann_filtered import VECTORS, filtered
from benchmarks.machine import describe
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex

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


def build_ours(x: np.ndarray, width: int) -> Searcher:  # noqa: ARG001 - one way in
    index = AnnIndex.build(np.arange(len(x)), x)
    return lambda queries: index.search(queries, K).places


BUILDERS = {
    "exact": build_exact,
    "ours": build_ours,
    "usearch": build_usearch,
    "faiss": build_faiss,
    "hnswlib": build_hnswlib,
}

EXTERNAL = ("pgvector", "milvus")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ann", description=__doc__)
    parser.add_argument("--items", type=int, help="200,000 if unset; 1,000,000 with --filtered.")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--indexes", nargs="+", choices=[*BUILDERS, *EXTERNAL], default=None)
    parser.add_argument("--filtered", action="store_true", help="Searches with conditions.")
    parser.add_argument("--external", action="store_true", help="pgvector and milvus.")
    parser.add_argument("--milvus", metavar="URI", help="Address of Milvus, with --external.")
    parser.add_argument("--rounds", type=int, default=7, help="Of --filtered.")
    parser.add_argument("--vectors", nargs="+", choices=VECTORS, default=list(VECTORS))
    options = parser.parse_args(arguments)
    if options.filtered:
        filtered(options.items or 1_000_000, options.vectors, options.rounds)
        return
    options.items = options.items or 200_000
    if options.external:
        parts = (
            clustered(n, options.dim, s) for n, s in ((options.items, 1), (options.queries, 2))
        )
        external(
            *parts, indexes=options.indexes or ["exact", "ours", *EXTERNAL], milvus=options.milvus
        )
        return
    print(describe(items=options.items, dim=options.dim, links=LINKS, build_width=BUILD_WIDTH))
    print("| index | search width | build s | recall@10 | queries/s |\n|---|---|---|---|---|---|")
    x = clustered(options.items, options.dim, 1)
    queries = clustered(options.queries, options.dim, 2)
    truth = build_exact(x, 0)(queries)
    for name, build in ((n, BUILDERS[n]) for n in options.indexes or BUILDERS):
        ours = name in ("exact", "ours")
        if not ours and importlib.util.find_spec(name) is None:
            print(f"| {name} | not installed | | | |")
            continue
        for width in options.widths if not ours else [0]:
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
