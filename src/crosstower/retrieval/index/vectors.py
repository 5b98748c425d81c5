"""Item vectors in one array, and the largest inner products with them.

Vectors are float32, bfloat16 or int8, in memory or mapped from a file. A search takes a block of
items and of queries at a time.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.errors import QueryError
from crosstower.retrieval.index.arrays import mapped
from crosstower.retrieval.index.nearest_items import NearestItems
from crosstower.retrieval.index.rescoring import SPARE, rescored
from crosstower.values.arrays import Indices

Storage = Literal["float32", "bfloat16", "int8"]
Floats = NDArray[np.float32]
_STORED_AS: dict[Storage, Any] = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}
_AT_ONCE = 32_768


class Vectors:
    """`[N, D]` vectors; int8 keeps a scale a row, so that a row's largest entry is 127.

    Args:
        stored: the array, of the dtype of `storage` (bfloat16 as its 16 bits).
        storage: how numbers are kept.
        scales: `[N]` of int8 rows.

    """

    def __init__(
        self, stored: NDArray[Any], storage: Storage, scales: Floats | None = None
    ) -> None:
        self.stored, self.scales = stored, scales
        self.storage: Storage = storage

    @staticmethod
    def encode(vectors: NDArray[Any], storage: Storage) -> Vectors:
        """Return finite vectors `[N, D]` in a storage.

        Raises:
            QueryError: not a matrix, or a number is not finite.

        """
        x = np.require(vectors, np.float32, ["C", "W"])  # a column of a frame is read-only
        if x.ndim != 2:
            raise QueryError(f"item vectors: expected [items, width], got shape {list(x.shape)}")
        if not np.isfinite(x).all():
            row = int(np.flatnonzero(~np.isfinite(x).all(1))[0])
            raise QueryError(f"item vectors: row {row} is not finite; train the model again")
        if storage == "float32":
            return Vectors(x, storage)
        if storage == "bfloat16":
            bits = torch.from_numpy(x).bfloat16().view(torch.uint16)
            return Vectors(bits.numpy(), storage)
        scales = np.abs(x).max(1, initial=0.0) / np.float32(127)
        scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
        return Vectors(np.rint(x / scales[:, None]).astype(np.int8), storage, scales)

    def __len__(self) -> int:
        """Return N."""
        return len(self.stored)

    @property
    def width(self) -> int:
        """D, the width of a vector."""
        return self.stored.shape[1]

    @cached_property
    def largest_norm(self) -> float:
        """The largest length of a vector; 0 without any."""
        steps = range(0, len(self), _AT_ONCE)
        parts = (self.rows(slice(start, start + _AT_ONCE)) for start in steps)
        return max((float(rows.norm(dim=1).max()) for rows in parts), default=0.0)

    def rows(self, places: slice | NDArray[np.int64]) -> Tensor:
        """Return rows as float32 `[n, D]`."""
        part = self.stored[places] if isinstance(places, slice) else self.stored.take(places, 0)
        part = np.asarray(part)  # no memory map
        if self.storage == "bfloat16":
            return torch.from_numpy(part).view(torch.bfloat16).float()
        x = torch.from_numpy(part).float()
        return x if self.scales is None else x * torch.from_numpy(self.scales[places])[:, None]

    def extended(self, others: Vectors) -> Vectors:
        """Return these vectors followed by others of the same storage."""
        scales = None
        if self.scales is not None and others.scales is not None:
            scales = np.concatenate([self.scales, others.scales])
        return Vectors(np.concatenate([self.stored, others.stored]), self.storage, scales)

    def take(self, places: NDArray[np.int64]) -> Vectors:
        """Return the vectors at `places`."""
        scales = None if self.scales is None else self.scales[places]
        return Vectors(self.stored[places], self.storage, scales)

    def save(self, folder: Path) -> None:
        """Write vectors.npy, and scales.npy for int8."""
        np.save(folder / "vectors.npy", self.stored, allow_pickle=False)
        if self.scales is not None:
            np.save(folder / "scales.npy", self.scales, allow_pickle=False)

    @staticmethod
    def load(folder: Path, storage: Storage, *, count: int, width: int) -> Vectors:
        """Memory-map the file of `save`; nothing is read before it is needed.

        Raises:
            RunError: a file is missing, cut short, or of another shape.

        """
        stored = mapped(folder / "vectors.npy", (count, width), _STORED_AS[storage])
        scales = None
        if storage == "int8":
            scales = np.array(mapped(folder / "scales.npy", (count,), np.float32))
        return Vectors(stored, storage, scales)


@torch.no_grad()
def top_places(
    queries: Tensor,
    vectors: Vectors,
    k: int,
    *,
    allowed: Indices | None = None,
    excluded: tuple[Indices, Indices] | None = None,
) -> tuple[Indices, Floats]:
    """Return the places `[Q, k]` of the best items and their scores; -1 and -inf where none is.

    The result of a query is the same to the last bit, whatever the other queries are; items with
    equal scores are in the order of their places.

    Args:
        queries: `[Q, D]` float32.
        vectors: `[N, D]`.
        k: at least 1; may be more than N.
        allowed: places that may be shown, ascending; all if None.
        excluded: (query, place) pairs that may not.

    """
    allowed = np.arange(len(vectors)) if allowed is None else allowed
    wide = min(k + SPARE, len(allowed))
    nearest = NearestItems(queries, vectors.rows, wide, allowed=allowed, gone=excluded)
    places, scores = nearest.best_first()
    return rescored(
        queries.numpy(),
        lambda at: vectors.rows(at).numpy(),
        k,
        places=places,
        scores=scores,
        largest_norm=vectors.largest_norm,
        above=nearest.above,
    )


def top_rows(
    queries: Floats, rows: Floats, at: Indices, k: int, *, excluded: tuple[Indices, Indices]
) -> tuple[Indices, Floats]:
    """Return the result of `top_places` for few items.

    Args:
        queries: `[Q, D]`.
        rows: `[n, D]` vectors of the items.
        at: `[n]` their places, ascending.
        k: at least 1; may be more than n.
        excluded: (query, place) pairs that may not be shown.

    """
    found = (rows @ queries[0])[None] if len(queries) == 1 else queries @ rows.T
    if len(excluded[0]) and len(at):
        query, place = excluded
        column = np.searchsorted(at, place).clip(max=len(at) - 1)
        hit = at[column] == place
        found[query[hit], column[hit]] = -np.inf
    wide = min(k + SPARE, len(at))
    order = np.broadcast_to(np.arange(len(at)), found.shape)
    if wide < len(at):
        order = np.argpartition(found, len(at) - wide, axis=1)[:, len(at) - wide :]
    scores = np.take_along_axis(found, order, 1)
    best = np.argsort(-scores, axis=1, kind="stable")
    own, values = rescored(
        queries,
        rows.__getitem__,
        k,
        places=np.take_along_axis(order, best, 1),
        scores=np.take_along_axis(scores, best, 1),
        largest_norm=float(np.linalg.norm(rows, axis=1).max(initial=0.0)),
        above=lambda query, least: np.flatnonzero(found[query] >= least),
    )
    return np.append(at, -1)[own], values
