"""Searches with conditions, one query at a time on one thread: our index and two of faiss.

Each contender searches as little as reaches recall@10 0.95. `tower` are the vectors of a two-tower
model trained on amazon-beauty, whose items are an id and a list of attributes; more items than it
has are made by giving each the id of one product and the attributes of another. Conditions are
independent of the vectors; faiss gets a bitmap that is made beforehand, ours the condition as text.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import polars as pl
import torch

from benchmarks.machine import data_folder, describe
from crosstower import Retriever, fit
from crosstower.recipe.loading import parse_recipe
from crosstower.retrieval.index.ann import AnnIndex

DIM, K, QUERIES, TIMED, RECALL = 64, 10, 200, 100, 0.95
SHARES = (0.5, 0.1, 0.01, 0.001)
LINKS, BUILD_WIDTH = 16, 128
DEPTHS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
LONGEST = 0.02  # seconds per query at which a search for the depth ends
Search = Callable[[np.ndarray], Any]
RECIPE = """
name: tower
data:
  path: {data}/interactions.parquet
  split: {{kind: leave_last_out, group: user, time: position}}
schema:
  columns:
    item: categorical
    attributes: bag
    history: {{kind: sequence, table: item, max_len: 20, pooling: mean}}
model: {{name: two_tower, item: [item, attributes], dim: 64, embedding_dim: 64, normalise: false,
  temperature: 1.0, learn_temperature: false}}
retrieval: {{item: item, user: user, time: position, history: history, items: {data}/items.parquet,
  valid_queries: 1000, baselines: []}}
training: {{epochs: 5, embedding_learning_rate: 0.003, batch_size: 512}}
"""


def gaussian(items: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = (items, DIM), (QUERIES, DIM)
    x, queries = (random.standard_normal(shape, dtype=np.float32) for shape in shapes)
    return x, queries


def tower(items: int) -> tuple[np.ndarray, np.ndarray]:
    recipe = parse_recipe(RECIPE.format(data=data_folder() / "amazon-beauty"))
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        run = fit(recipe, out=Path(folder) / "run", quiet=True)
        retriever = Retriever.open(run)
        known = retriever.items
        product, other = random.integers(0, known.height, (2, items))
        made = pl.DataFrame(
            {"item": known["item"][product], "attributes": known["attributes"][other]}
        )
        parts = [retriever.vectors_of(p, "items") for p in made.iter_slices(100_000)]
        users = retriever.users.get_column(retriever.users.columns[0]).head(QUERIES)
        queries = [retriever.query(user, None)[0] for user in users.to_list()]
    return np.concatenate(parts), np.concatenate(queries)


VECTORS = {"tower": tower, "gaussian": gaussian}


def filtered(items: int, names: list[str], rounds: int) -> None:
    print(describe(items=items, dim=DIM, faiss=faiss.__version__, links=LINKS, threads=1))
    for name in names:
        x, queries = VECTORS[name](items)
        table = pl.DataFrame({"u": np.random.default_rng(5).random(items)})
        indexes = dict(built(x, table))
        print(
            f"\n{name}, recall@10 at least {RECALL}, queries/s, median of {rounds} rounds\n\n"
            "| kept | ours | faiss HNSW | faiss IVF | ours / better one (range) | new condition |\n"
            "|---|---|---|---|---|---|"
        )
        for share in SHARES:
            show(share, indexes, table["u"].to_numpy(), x, queries, rounds)


def built(x: np.ndarray, table: pl.DataFrame) -> Iterator[tuple[str, Any]]:
    """Yield (name, index), each built with all threads."""
    random = np.random.default_rng(0)
    start = time.perf_counter()
    yield "ours", AnnIndex.build(np.arange(len(x)), x, table)
    print(f"ours: built in {time.perf_counter() - start:.0f} s")
    start = time.perf_counter()
    lists = 2 ** round(np.log2(4 * len(x) ** 0.5))
    ivf = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, lists, faiss.METRIC_INNER_PRODUCT)
    ivf.train(x[random.choice(len(x), min(len(x), 50 * lists), replace=False)])
    ivf.add(x)
    print(f"faiss IVF, {lists:,} lists: built in {time.perf_counter() - start:.0f} s")
    yield "ivf", ivf
    start = time.perf_counter()
    hnsw = faiss.IndexHNSWFlat(DIM, LINKS, faiss.METRIC_INNER_PRODUCT)
    hnsw.hnsw.efConstruction = BUILD_WIDTH
    hnsw.add(x)
    print(f"faiss HNSW: built in {time.perf_counter() - start:.0f} s", flush=True)
    yield "hnsw", hnsw


def show(share: float, indexes: dict, u: np.ndarray, x: np.ndarray, *rest: Any) -> None:
    queries, rounds = rest
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    kept = np.flatnonzero(u < share)
    scores = queries @ x[kept].T
    truth = kept[np.argpartition(-scores, K, axis=1)[:, :K]]
    selector = faiss.IDSelectorBitmap(np.packbits(u < share, bitorder="little"))
    where = f"u < {share}"
    ours = indexes["ours"]
    searches: dict[str, tuple[Search | None, str]] = {
        "ours": (lambda q: ours.search(q, K, where=where).places[0], "")
    }
    for name, make in {"hnsw": hnsw_depth, "ivf": ivf_depth}.items():
        searches[name] = shallowest(indexes[name], make, selector, queries, truth)
    own = recall(searches["ours"][0], queries, truth)
    searches["ours"] = (searches["ours"][0], f"recall {own:.3f}")
    found = {name: [0.0] * rounds for name in searches}
    for turn in range(rounds):
        for name, (search, _) in searches.items():
            if search is not None:
                found[name][turn] = 1 / per_query(search, queries[:TIMED])
    ratios = [one / max(two) for one, *two in zip(*found.values(), strict=True) if max(two)]
    cells = [
        f"{np.median(found[n]):,.0f} ({words})" if one else words
        for n, (one, words) in searches.items()
    ]
    ratio = "no faiss index reaches the recall"
    if ratios:
        ratio = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    extra = new_condition(ours, share, queries)
    print(f"| {share:.1%} | {' | '.join(cells)} | {ratio} | {extra} |", flush=True)


def hnsw_depth(depth: int, selector: Any) -> Any:
    return faiss.SearchParametersHNSW(efSearch=depth, sel=selector)


def ivf_depth(depth: int, selector: Any) -> Any:
    return faiss.SearchParametersIVF(nprobe=depth, sel=selector)


def shallowest(
    index: Any, make: Callable, selector: Any, *rest: np.ndarray
) -> tuple[Search | None, str]:
    """Return the search with the smallest depth that reaches the recall, or None."""
    queries, truth = rest
    best = 0.0
    for depth in DEPTHS:
        parameters = make(depth, selector)

        def search(q: np.ndarray, chosen: Any = parameters) -> np.ndarray:
            return index.search(q, K, params=chosen)[1][0]

        found = recall(search, queries, truth)
        best = max(best, found)
        if found >= RECALL:
            return search, f"recall {found:.3f}, depth {depth}"
        if per_query(search, queries[:20]) > LONGEST:
            break
    return None, f"recall {best:.3f} at most"


def recall(search: Search | None, queries: np.ndarray, truth: np.ndarray) -> float:
    if search is None:
        return 0.0
    pairs = ((search(q[None]), t) for q, t in zip(queries, truth, strict=True))
    return float(np.mean([len(set(found) & set(best)) / K for found, best in pairs]))


def per_query(search: Search, queries: np.ndarray) -> float:
    """Return seconds per query."""
    alone = [q[None] for q in queries]
    start = time.perf_counter()
    for query in alone:
        search(query)
    return (time.perf_counter() - start) / len(alone)


def new_condition(index: AnnIndex, share: float, queries: np.ndarray, times: int = 31) -> str:
    """Return in words what a search with a new condition costs beyond one with a known condition.

    Both are for the same query; the known condition has been used three times, the last time for
    another query. Medians of time and of processor time.
    """
    extra = []
    for number in range(times):
        where = f"u < {share * (1 + 1e-4 * (number + 1))}"
        one, other = queries[number, None], queries[number + 1, None]
        new = clocked(index, one, where)
        for query in (one, other):
            index.search(query, K, where=where)
        extra.append(new - clocked(index, one, where))
    wall, processor = 1e3 * np.median(extra, axis=0)
    return f"{wall:+.2f} ms ({processor:+.2f} ms of processor time)"


def clocked(index: AnnIndex, query: np.ndarray, where: str) -> np.ndarray:
    """Return seconds and seconds of processor time of a search."""
    start = time.perf_counter(), time.process_time()
    index.search(query, K, where=where)
    return np.subtract((time.perf_counter(), time.process_time()), start)
