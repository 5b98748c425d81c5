"""An approximate index: scans blocks that can hold good items, then scores the best exactly."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.retrieval.index.arrays import mapped
from crosstower.retrieval.index.blocks import Blocks
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import GATHERED, ExactIndex, IndexManifest
from crosstower.retrieval.index.index import check_queries
from crosstower.retrieval.index.registry import IndexItems, register_index
from crosstower.retrieval.index.scan import Loose, Scan, ScanSettings
from crosstower.retrieval.index.search_effort import calibrated
from crosstower.retrieval.index.survivors import Survivors
from crosstower.retrieval.index.vectors import Floats, Storage, Vectors
from crosstower.values.arrays import Indices

_LOOSE = 8_192  # items that may be in no block; they are scored one by one
_GROWN = 2.0
_DEEP = 8  # a list of more than one in so many items is searched exactly
_LOOSE_FILE = "loose.npy"


@register_index("ann")
class AnnIndex(ExactIndex):
    """Approximate index: scores the items of promising blocks in int8 and the best ones exactly.

    Blocks are visited in order of an upper bound of their scores. The number of blocks that hold
    nearly all of a list is measured at build time, so that recall holds for any vectors; if that is
    half of them, all are scanned. New items are scored exactly until there are enough for blocks of
    their own.

    >>> index = AnnIndex.build(range(100), np.random.default_rng(0).normal(size=(100, 8)))
    >>> index.search(np.ones((1, 8)), k=5).places.shape
    (1, 5)

    Args:
        catalogue: ids and attributes of N items.
        vectors: encoded vectors `[N, D]`.
        blocks: clustered items; None if there are only few items.
        loose: positions of the items outside of blocks.
        settings: of the search.

    """

    def __init__(
        self,
        catalogue: Catalogue,
        vectors: Vectors,
        blocks: Blocks | None,
        loose: Indices,
        settings: ScanSettings,
    ) -> None:
        super().__init__(catalogue, vectors)
        self._settings, self._first = settings, len(vectors)
        self._set(blocks, loose)

    @staticmethod
    def build(
        ids: Any,
        vectors: NDArray[Any],
        attributes: pl.DataFrame | None = None,
        *,
        storage: Storage = "float32",
        queries: NDArray[Any] | None = None,
    ) -> AnnIndex:
        """Return an index of items; errors as `ExactIndex.build`.

        Args:
            ids: `[N]` integers or text, each once.
            vectors: `[N, D]`, finite.
            attributes: columns to filter by, a row per item.
            storage: float32; bfloat16 in half the memory; int8 in a quarter.
            queries: `[Q, D]` examples by which the search depth is measured; invented ones of any
                direction without them.

        """
        exact = ExactIndex.build(ids, vectors, attributes, storage=storage)
        everything = np.arange(len(exact.vectors))
        index = AnnIndex(exact.catalogue, exact.vectors, None, everything, ScanSettings())
        if len(everything) > _LOOSE:
            index._arrange(everything)
            index._calibrate(queries)
        return index

    @staticmethod
    def from_items(items: IndexItems, options: ExactIndex.Options) -> AnnIndex:
        """Build the index as a registered engine; see `build`."""
        return AnnIndex.build(
            items.ids,
            items.vectors,
            items.attributes,
            storage=options.storage,
            queries=items.queries,
        )

    def nearest(
        self, x: Floats, k: int, *, allowed: Survivors | None, excluded: tuple[Indices, Indices]
    ) -> tuple[Indices, Floats]:
        """Return k good items of each query; see `ExactIndex.nearest`."""
        count = len(self.vectors) if allowed is None else allowed.count
        few = allowed is not None and count <= GATHERED
        if self._scan is None or few or k * _DEEP > count:
            return super().nearest(x, k, allowed=allowed, excluded=excluded)
        best, values = np.full((len(x), k), -1), np.full((len(x), k), -np.inf, np.float32)
        for row, out in enumerate(_by_query(excluded, len(x))):
            places, scores = self._scan.best(x[row], k, allowed, out)
            best[row, : len(places)], values[row, : len(places)] = places, scores
        return best, values

    def add(self, ids: Any, vectors: NDArray[Any], attributes: pl.DataFrame | None = None) -> None:
        """Add items; an existing id gets the new vector and attributes."""
        before = len(self.vectors)
        super().add(ids, vectors, attributes)
        loose = np.concatenate([self._loose, np.arange(before, len(self.vectors))])
        if len(loose) > _LOOSE:
            self._arrange(loose)
            self._calibrate()
        else:
            self._set(self._blocks, loose)

    @staticmethod
    def load(folder: str | Path) -> AnnIndex:
        """Open a saved index; vectors and blocks are mapped from their files.

        Raises:
            RunError: there is none, or a file is damaged.

        """
        folder = Path(folder)
        exact, manifest = ExactIndex.load(folder), IndexManifest.read(folder)
        count, size = manifest.blocks, manifest.block_size
        blocks = None
        if count:
            blocks = Blocks.load(folder, blocks=count, size=size, width=manifest.width)
        loose = mapped(folder / _LOOSE_FILE, (manifest.items - count * size,), np.int64)
        settings = ScanSettings(depths=manifest.depths, spare=manifest.spare)
        return AnnIndex(exact.catalogue, exact.vectors, blocks, loose, settings)

    def _write(self, folder: Path, kept: Indices) -> IndexManifest:
        manifest, blocks, loose = super()._write(folder, kept), self._blocks, self._loose
        if len(kept) < len(self.vectors):  # without the removed ones, places are others
            blocks, loose = _blocks(self.vectors.take(kept), np.arange(len(kept)))
        if blocks is not None:
            blocks.save(folder)
        np.save(folder / _LOOSE_FILE, loose, allow_pickle=False)
        count, size = (0, 0) if blocks is None else (len(blocks), blocks.size)
        update = {"kind": "ann", "blocks": count, "block_size": size, **asdict(self._settings)}
        return manifest.model_copy(update=update)

    def _arrange(self, loose: Indices) -> None:
        """Put loose items into new blocks; rebuild all once the index has doubled."""
        old = self._blocks
        if old is not None and old.places.numel() + len(loose) < _GROWN * self._first:
            more, loose = Blocks.build(self.vectors, loose, old.size)
            self._set(old if more is None else old.extended(more), loose)
        else:
            everything = np.flatnonzero(self.catalogue.active_mask)
            self._first = len(everything)
            self._set(*_blocks(self.vectors, everything))

    def _set(self, blocks: Blocks | None, loose: Indices) -> None:
        self._blocks, self._loose, self._scan = blocks, loose, None
        if blocks is not None:
            some = Loose(loose, self.vectors.rows(loose).contiguous().numpy())
            self._scan = Scan(blocks, self.vectors, some, self._settings)

    def _calibrate(self, queries: NDArray[Any] | None = None) -> None:
        if self._scan is None:
            return
        examples = None
        if queries is not None:
            examples = check_queries(queries, 1, width=self.vectors.width)
        self._settings = calibrated(self._scan, examples)
        self._set(self._blocks, self._loose)


def _blocks(vectors: Vectors, places: Indices) -> tuple[Blocks | None, Indices]:
    """Return blocks, if there are enough items for them, and the items that are in none."""
    return Blocks.build(vectors, places) if len(places) > _LOOSE else (None, places)


def _by_query(pairs: tuple[Indices, Indices], queries: int) -> list[Indices]:
    """Return the places to leave out of each query."""
    if queries == 1:
        return [pairs[1]]
    order = np.argsort(pairs[0], kind="stable")
    return np.split(pairs[1][order], np.searchsorted(pairs[0][order], np.arange(1, queries)))
