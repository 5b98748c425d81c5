"""How thoroughly the approximate index has to search for the vectors at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.retrieve.scan import Scan, Settings
from crosstower.retrieve.top import top_places
from crosstower.retrieve.vectors import Floats, Vectors

RECALL = 0.95  # of the exact first ten; below it an approximate index is not worth having
_AIM, _INSIDE, _K, _QUERIES = 0.97, 0.98, 10, 128
_LEAST_REACH, _MOST_SPARE, _MOST_FIRST, _TINY = 0.5, 32, 64, 1e-6


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


def calibrated(scan: Scan, queries: NDArray[np.float32] | None = None) -> Settings:
    """Return settings with which a search finds nearly all of the first ten.

    Args:
        scan: with any settings.
        queries: `[Q, D]` examples; invented ones are tried as well.

    """
    kinds = invented_queries(scan.vectors)
    if queries is not None and len(queries):
        kinds.insert(0, np.ascontiguousarray(queries[:_QUERIES], dtype=np.float32))
    truth = [top_places(torch.from_numpy(x), scan.vectors, _K) for x in kinds]
    pairs = list(zip(kinds, truth, strict=True))
    reach = max(_LEAST_REACH, *(_reach(scan, x, *best) for x, best in pairs))
    settings = Settings(reach=reach, first=_first(scan, reach, kinds[0], truth[0][1]), spare=2)
    while settings.spare < _MOST_SPARE:
        tried = Scan(scan.blocks, scan.vectors, scan.loose, settings)
        if min(recall_of(_answers(tried, x), best[0]) for x, best in pairs) >= _AIM:
            break
        settings = replace(settings, spare=2 * settings.spare)
    return settings


def _reach(scan: Scan, x: Floats, places: NDArray[np.int64], scores: Floats) -> float:
    """Return the margin, in a block's standard deviations, that nearly all of the best need."""
    centres = scan.blocks.centres.numpy()
    number = np.full(len(scan.vectors), -1)
    number[scan.blocks.places.numpy()] = np.arange(len(centres))[:, None]
    query, column = np.nonzero(places >= 0)
    block = number[places[query, column]]
    query, block = query[block >= 0], block[block >= 0]
    if not len(query):
        return _LEAST_REACH
    least = np.where(places >= 0, scores, np.inf).min(1)[query]
    length = np.linalg.norm(x, axis=1)[query]
    mean = (x[query] * centres[block, :-1]).sum(1)
    spread = length * (centres[block, -1] + _TINY * np.abs(centres[:, :-1]).max())
    return float(np.quantile((least - mean) / np.maximum(spread, 1e-30), _INSIDE))


def _first(scan: Scan, reach: float, x: Floats, scores: Floats) -> int:
    """Return how many blocks half of the queries need."""
    centres = scan.blocks.centres.numpy()
    length = np.linalg.norm(x, axis=1, keepdims=True)
    bounds = x @ centres[:, :-1].T + reach * length * centres[:, -1]
    needed = np.median((bounds >= scores[:, -1:]).sum(1))
    return int(np.clip(needed, 2, _MOST_FIRST))


def _answers(scan: Scan, x: Floats) -> NDArray[np.int64]:
    found = np.full((len(x), _K), -1)
    for row, query in enumerate(x):
        places = scan.best(query, _K, None, np.empty(0, np.int64))[0]
        found[row, : len(places)] = places
    return found
