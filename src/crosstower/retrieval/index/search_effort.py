"""How thoroughly the approximate index has to search for the vectors at hand."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.retrieval.index.scan import LISTS, REACH, Scan, ScanSettings
from crosstower.retrieval.index.vectors import Floats, Vectors, top_places

RECALL = 0.95  # of the exact first ten; below it an approximate index is not worth having
_AIM, _INSIDE, _K, _QUERIES = 0.97, 0.98, 10, 128
_MOST_SPARE, _FEW = 32, 32


def invented_queries(vectors: Vectors, count: int = _QUERIES) -> list[Floats]:
    """Return two kinds of queries `[count, D]`: items with noise, and directions of any kind."""
    random = np.random.default_rng(0)
    chosen = np.sort(random.choice(len(vectors), min(count, len(vectors)), replace=False))
    items = vectors.rows(chosen).numpy()
    noise = random.normal(size=items.shape) * items.std() * 0.5
    anywhere = random.normal(size=(count, vectors.width))
    return [(items + noise).astype(np.float32), anywhere.astype(np.float32)]


def recall_of(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the share of the true places `[Q, K]` that were found; -1 is none."""
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    shares = [
        len(set(one) & (all_ := set(other) - {-1})) / max(len(all_), 1) for one, other in pairs
    ]
    return float(np.mean(shares))


def calibrated(scan: Scan, queries: NDArray[np.float32] | None = None) -> ScanSettings:
    """Return settings with which a search finds nearly all of the first ten.

    Args:
        scan: with any settings.
        queries: `[Q, D]` examples; without them, invented ones of any direction are tried.

    """
    kinds = invented_queries(scan.vectors)
    if queries is not None and len(queries) >= _FEW:
        kinds[1] = np.ascontiguousarray(queries[:_QUERIES], dtype=np.float32)
    lists = [top_places(torch.from_numpy(x), scan.vectors, LISTS[-1])[0] for x in kinds]
    pairs = list(zip(kinds, lists, strict=True))
    each = np.array([_depths(scan, x, places) for x, places in pairs]).max(0)
    low, middle, high = (int(d) for d in np.maximum.accumulate(each))
    settings = ScanSettings(depths=(low, middle, high), spare=2)
    while settings.spare < _MOST_SPARE:
        tried = Scan(scan.blocks, scan.vectors, scan.loose, settings)
        if min(recall_of(_found(tried, x), top[:, :_K]) for x, top in pairs) >= _AIM:
            break
        deeper = tuple(math.ceil(1.25 * d) for d in settings.depths)
        settings = ScanSettings(depths=(deeper[0], deeper[1], deeper[2]), spare=2 * settings.spare)
    return settings


def _depths(scan: Scan, x: Floats, places: NDArray[np.int64]) -> list[float]:
    """Return how many blocks, best first, hold nearly all of the first items of each list."""
    centres = scan.blocks.centres.numpy()
    number = np.full(len(scan.vectors), -1)
    number[scan.blocks.places.numpy()] = np.arange(len(centres))[:, None]
    length = np.linalg.norm(x, axis=1, keepdims=True)
    bounds = x @ centres[:, :-1].T + REACH * length * centres[:, -1]
    rank = np.argsort(np.argsort(-bounds, axis=1), axis=1)
    depths: list[float] = []
    for count in LISTS:
        some = places[:, :count]
        block = np.where(some >= 0, number[some], -1)
        ranks = np.take_along_axis(rank, np.maximum(block, 0), axis=1)[block >= 0]
        depths.append(float(np.quantile(ranks, _INSIDE)) + 1 if len(ranks) else 1.0)
    return depths


def _found(scan: Scan, x: Floats) -> NDArray[np.int64]:
    found = np.full((len(x), _K), -1)
    for row, query in enumerate(x):
        places = scan.best(query, _K, None, np.empty(0, np.int64))[0]
        found[row, : len(places)] = places
    return found
