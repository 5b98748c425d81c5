"""An embedded approximate index: usearch's HNSW graph beside the exact vectors."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.errors import QueryError, RunError
from crosstower.retrieve.catalogue import Catalogue, Places
from crosstower.retrieve.exact import ExactIndex, Manifest, Mask
from crosstower.retrieve.vectors import Floats, Storage, Vectors

LINKS, BUILD_WIDTH, SEARCH_WIDTH = 16, 128, 64
_NUMBERS: dict[Storage, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "i8"}
_SCAN = 20_000
_SLACK = 1.5
_GRAPH, _KEYS = "graph.usearch", "keys.npy"


class AnnIndex(ExactIndex):
    """Walks a graph of neighbours instead of scoring every item (Malkov & Yashunin 2016).

    Largest inner products are nearest neighbours after one more dimension has made all vectors
    equally long (Bachrach et al. 2014). A condition that few items fulfil is answered exactly; so
    is any query to which the graph gives fewer items than exist. Removed items are skipped.
    """

    def __init__(
        self, catalogue: Catalogue, vectors: Vectors, graph: Any, keys: Places, longest: float
    ) -> None:
        super().__init__(catalogue, vectors)
        self._graph, self._keys, self._longest = graph, keys, longest
        self._mapped: Path | None = None

    @staticmethod
    def build(
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
        *,
        storage: Storage = "float32",
    ) -> AnnIndex:
        """Return an index of items; arguments and errors as `ExactIndex.build`.

        Raises:
            QueryError: the package usearch is not installed.

        """
        usearch = _usearch()
        exact = ExactIndex.build(ids, vectors, attributes, storage=storage)
        x = np.ascontiguousarray(vectors, dtype=np.float32)
        longest = max(float(np.linalg.norm(x, axis=1).max()), 1e-12)
        graph = usearch.Index(
            ndim=x.shape[1] + 1,
            # The vectors have length 1, so that the cosine is the inner product, in int8 as well.
            metric="cos" if storage == "int8" else "ip",
            dtype=_NUMBERS[storage],
            connectivity=LINKS,
            expansion_add=BUILD_WIDTH,
            expansion_search=SEARCH_WIDTH,
        )
        keys = np.arange(len(x))
        graph.add(keys, _levelled(x, longest))
        return AnnIndex(exact.catalogue, exact.vectors, graph, keys, longest)

    def nearest(
        self, x: Floats, k: int, *, allowed: Mask | None, excluded: tuple[Places, Places]
    ) -> tuple[Places, Floats]:
        """Return k good items of each query; see `ExactIndex.nearest`."""
        size = len(self._graph)
        if size <= k:
            return super().nearest(x, k, allowed=allowed, excluded=excluded)
        if allowed is None and not len(excluded[0]):
            return self._walk(x, k)
        count = size if allowed is None else int(allowed.sum())
        if allowed is not None and count <= max(_SCAN, size // 10):
            return super().nearest(x, k, allowed=allowed, excluded=excluded)
        best, values = np.empty((len(x), k), np.int64), np.empty((len(x), k), np.float32)
        # Exclusions are known; how many of those nearby fulfil a condition is a guess.
        guess = 1.0 if allowed is None else _SLACK * size / count
        # Each query walks as far as it would alone, whoever else is asked for.
        more = _rounded(np.bincount(excluded[0], minlength=len(x)))
        for few in np.unique(more):
            rows = np.flatnonzero(more == few)
            pairs = _of_rows(excluded, rows, len(x))
            asked = min(max(int(guess * (k + few)), k), size)
            found = self._walk(x[rows], asked)
            shown = _kept(found[0], allowed, pairs, len(self.vectors))
            best[rows], values[rows] = self._first(
                x[rows], k, found, shown, allowed=allowed, excluded=pairs
            )
        return best, values

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an id that is there gets the new vector and attributes."""
        before = self.catalogue.alive.copy()
        super().add(ids, vectors, attributes)
        self._own()
        added = len(self.vectors) - len(before)
        keys = self._keys[-1] + 1 + np.arange(added)
        self._keys = np.concatenate([self._keys, keys])
        x = np.ascontiguousarray(vectors, dtype=np.float32)
        self._graph.add(keys, _levelled(x, self._longest))
        replaced = before & ~self.catalogue.alive[: len(before)]
        if replaced.any():
            self._graph.remove(self._keys[: len(before)][replaced])

    def remove(self, ids: Any) -> None:
        """Take items out."""
        places = self.catalogue.remove(ids)
        self._own()
        self._graph.remove(self._keys[places])

    @staticmethod
    def load(folder: str | Path) -> AnnIndex:
        """Open a saved index; vectors and graph are mapped from their files.

        Raises:
            RunError: there is none, or a file is damaged.
            QueryError: the package usearch is not installed.

        """
        usearch, folder = _usearch(), Path(folder)
        exact = ExactIndex.load(folder)
        manifest = Manifest.read(folder)
        path = folder / _GRAPH
        try:
            keys = np.load(folder / _KEYS, allow_pickle=False)
            graph = usearch.Index.restore(path, view=True)
            whole = path.stat().st_size == manifest.graph_bytes and len(graph) == len(keys)
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            reason = (str(error) or "empty").splitlines()[0]
            raise RunError(f"{path}: damaged: {reason}; build the index again") from error
        if not whole or len(keys) != len(exact.vectors):
            raise RunError(f"{path}: damaged: cut short; build the index again")
        graph.expansion_search = SEARCH_WIDTH
        index = AnnIndex(exact.catalogue, exact.vectors, graph, keys, manifest.longest or 1.0)
        index._mapped = path
        return index

    def _write(self, folder: Path, kept: Places) -> Manifest:
        manifest = super()._write(folder, kept)
        np.save(folder / _KEYS, self._keys[kept], allow_pickle=False)
        self._graph.save(str(folder / _GRAPH))
        size = (folder / _GRAPH).stat().st_size
        update = {"kind": "ann", "longest": self._longest, "graph_bytes": size}
        return manifest.model_copy(update=update)

    def _own(self) -> None:
        """Make a mapped graph one that can be changed."""
        if self._mapped is not None:
            self._graph = _usearch().Index.restore(self._mapped, view=False)
            self._graph.expansion_search = SEARCH_WIDTH
            self._mapped = None

    def _walk(self, x: Floats, count: int) -> tuple[Places, Floats]:
        """Return what the graph finds `[Q, count]`: places and inner products."""
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        unit = np.zeros((len(x), x.shape[1] + 1), dtype=np.float32)
        np.divide(x, norm, out=unit[:, :-1], where=norm > 0)
        found = self._graph.search(unit, count, threads=torch.get_num_threads())
        keys = found.keys.reshape(len(x), -1).astype(np.int64)
        distances = found.distances.reshape(len(x), -1)
        places = keys
        if self._keys[-1] + 1 != len(self._keys):  # something was removed: keys have gaps
            places = np.searchsorted(self._keys, keys)
        scores = (1.0 - distances) * (norm * self._longest)
        counts = np.atleast_1d(found.counts) if len(x) > 1 else np.array([keys.shape[1]])
        if (counts < keys.shape[1]).any():
            missing = np.arange(keys.shape[1]) >= counts[:, None]
            places, scores = np.where(missing, -1, places), np.where(missing, -np.inf, scores)
        return places, scores.astype(np.float32)

    def _first(
        self,
        x: Floats,
        k: int,
        found: tuple[Places, Floats],
        shown: Mask,
        *,
        allowed: Mask | None,
        excluded: tuple[Places, Places],
    ) -> tuple[Places, Floats]:
        """Return the first k shown ones of each row; rows that lack some are answered exactly."""
        order = np.argsort(~shown, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(found[0], order, 1)
        values = np.take_along_axis(found[1], order, 1)
        short = shown.sum(1) < k
        if short.any():
            pairs = _of_rows(excluded, np.flatnonzero(short), len(x))
            exact = super().nearest(x[short], k, allowed=allowed, excluded=pairs)
            best[short], values[short] = exact
        return best, values


def _rounded(counts: Places) -> Places:
    """Return numbers rounded up to powers of two, so that few different ones are left; 0 is 0."""
    return np.where(counts > 0, 2 ** np.ceil(np.log2(np.maximum(counts, 1))), 0).astype(np.int64)


def _of_rows(pairs: tuple[Places, Places], rows: Places, count: int) -> tuple[Places, Places]:
    """Return the pairs of some of `count` queries, numbered in the order of `rows`."""
    number = np.full(count, -1)
    number[rows] = np.arange(len(rows))
    mine = number[pairs[0]] >= 0
    return number[pairs[0]][mine], pairs[1][mine]


def _kept(places: Places, allowed: Mask | None, pairs: tuple[Places, Places], count: int) -> Mask:
    """Return which of the places found `[Q, C]` are allowed and not excluded."""
    row = np.arange(len(places))[:, None]
    excluded = np.isin(row * count + places, pairs[0] * count + pairs[1])
    fits = places >= 0 if allowed is None else allowed[places] & (places >= 0)
    return fits & ~excluded


def _levelled(x: Floats, longest: float) -> Floats:
    """Return vectors of length 1 whose first D numbers are x / longest."""
    scaled = x / np.float32(longest)
    rest = np.sqrt(np.clip(1.0 - (scaled**2).sum(1, keepdims=True), 0.0, None))
    return np.concatenate([scaled, rest], axis=1).astype(np.float32)


def _usearch() -> Any:
    try:
        return importlib.import_module("usearch.index")
    except ImportError as error:
        raise QueryError(
            "the approximate index needs the package usearch; install it with:"
            " pip install 'crosstower[ann]', or use the exact index"
        ) from error
