"""Item vectors in one array: float32, bfloat16 or int8, in memory or mapped from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.errors import QueryError
from crosstower.retrieval.index.arrays import mapped

Storage = Literal["float32", "bfloat16", "int8"]
Floats = NDArray[np.float32]
_STORED_AS: dict[Storage, Any] = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}


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
        x = np.ascontiguousarray(vectors, dtype=np.float32)
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
        """Map what `save` wrote; nothing is read before it is needed.

        Raises:
            RunError: a file is missing, cut short, or of another shape.

        """
        stored = mapped(folder / "vectors.npy", (count, width), _STORED_AS[storage])
        scales = None
        if storage == "int8":
            scales = np.array(mapped(folder / "scales.npy", (count,), np.float32))
        return Vectors(stored, storage, scales)
