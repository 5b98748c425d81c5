"""Blocks of neighbouring items that the approximate index scans, with 7 bits per number.

A tree of splits at the median along the main direction of each part (McNames 2001) gives blocks of
one size. A block keeps its mean, its standard deviation, and the differences of its vectors from
the mean as integers, so that one product of integers estimates the scores of all its items.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crosstower.retrieval.index.arrays import mapped
from crosstower.retrieval.index.vectors import Vectors
from crosstower.values.arrays import Indices

LARGEST = 63  # 7 bits: sums of two products stay within 16 bits on any processor
_SAMPLE, _ITERATIONS, _CHUNK, _TINY = 192, 4, 65_536, 1e-12
_SCANNED = 131_072
_SMALLEST, _BIGGEST, _FIRST = 64, 1_024, 16
_MULTIPLY: Any = getattr(torch, "_int_mm")  # noqa: B009 - the one integer product of torch
_HAS_INTEGERS = platform.machine().lower() in ("x86_64", "amd64")


@dataclass(frozen=True, eq=False)
class Blocks:
    """C blocks of B items each.

    Args:
        centres: `[C, D + 1]` mean of each block's vectors, then their standard deviation per
            dimension.
        scales: `[C]` size of one step of the codes.
        codes: `[C, B, D]` int8 differences from the mean, in steps.
        places: `[C, B]` int32 places of the items.

    """

    centres: Tensor
    scales: Tensor
    codes: Tensor
    places: Tensor

    def __len__(self) -> int:
        """Return C."""
        return len(self.scales)

    @property
    def size(self) -> int:
        """B, the number of items per block."""
        return self.places.shape[1]

    @staticmethod
    def build(
        vectors: Vectors, places: Indices, size: int | None = None
    ) -> tuple[Blocks | None, Indices]:
        """Return blocks of the vectors at `places`, and the places of the few that are left over.

        Args:
            vectors: of the index.
            places: which ones; None fits in a block if there are fewer than a block has.
            size: B; chosen by the number of items if None.

        """
        count = _block_count(len(places), size)
        if not count:
            return None, places
        size = size or len(places) // count
        order = np.random.default_rng(0).permutation(places)
        kept, left = torch.from_numpy(order[: count * size]), np.sort(order[count * size :])
        for parts in _parts(count):
            kept = _split(vectors, kept.view(-1, kept.shape[-1]), parts)
        return _coded(vectors, kept), left

    def estimates(self, q: Tensor, base: Tensor, chosen: Tensor | None) -> Tensor:
        """Return estimated scores `[n, B]` of the items of the chosen blocks for a query `[D]`.

        Args:
            q: the query.
            base: `[n]` inner products of the query with the blocks' means.
            chosen: numbers of n blocks; all blocks, without a copy of their codes, if None.

        """
        codes, scales = self.codes, self.scales
        if chosen is not None:
            codes, scales = codes.index_select(0, chosen), scales.index_select(0, chosen)
        whole, step = products(q, codes.view(-1, len(q)))
        return torch.addcmul(
            base.unsqueeze(1), whole.view(-1, self.size), (scales * step).unsqueeze(1)
        )

    def peaks(self, q: Tensor, base: Tensor) -> Tensor:
        """Return the highest estimated score `[C]` of each block; arguments as `estimates`."""
        step = max(1, _SCANNED // self.size)
        parts: list[Tensor] = []
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            whole, unit = products(q, self.codes[part].view(-1, len(q)))
            best = whole.view(-1, self.size).amax(1)
            parts.append(torch.addcmul(base[part], best, self.scales[part] * unit))
        return torch.cat(parts)

    def extended(self, other: Blocks) -> Blocks:
        """Return these blocks followed by others of the same size."""
        return Blocks(
            torch.cat([self.centres, other.centres]),
            torch.cat([self.scales, other.scales]),
            torch.cat([self.codes, other.codes]),
            torch.cat([self.places, other.places]),
        )

    def save(self, folder: Path) -> None:
        """Write four files."""
        for name in ("centres", "scales", "codes", "places"):
            np.save(folder / f"block_{name}.npy", getattr(self, name).numpy(), allow_pickle=False)

    @staticmethod
    def load(folder: Path, *, blocks: int, size: int, width: int) -> Blocks:
        """Memory-map the files of `save`.

        Raises:
            RunError: a file is missing, cut short, or of another shape.

        """
        shapes = {
            "centres": ((blocks, width + 1), np.float32),
            "scales": ((blocks,), np.float32),
            "codes": ((blocks, size, width), np.int8),
            "places": ((blocks, size), np.int32),
        }
        parts = (mapped(folder / f"block_{name}.npy", *kind) for name, kind in shapes.items())
        return Blocks(*(torch.from_numpy(part) for part in parts))


def products(q: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return inner products `[n]` of a query `[D]` with codes `[n, D]`, in steps, and the step."""
    step = (q.abs().max() / LARGEST).clamp(min=_TINY)
    query = (q / step).round_().to(torch.int8)
    if _HAS_INTEGERS:
        return _MULTIPLY(query.unsqueeze(0), codes.T)[0], step
    return codes.float() @ query.float(), step


def _block_count(items: int, size: int | None) -> int:
    """Return how many blocks of the given or a fitting size the items fill: m·2^j with m < 16."""
    wanted = size or min(max(int(items**0.5 / 4), _SMALLEST), _BIGGEST)
    most = items // wanted
    counts = [m << j for j in range(most.bit_length()) for m in range(1, _FIRST) if m << j <= most]
    if size is not None:
        return max(counts, default=0)
    near = [c for c in counts if c >= 0.7 * most]
    return min(near, key=lambda c: (items % c, -c), default=0)


def _parts(blocks: int) -> list[int]:
    """Return into how many parts each level of the tree splits."""
    levels: list[int] = []
    while blocks >= _FIRST:
        levels.append(2)
        blocks //= 2
    return [blocks, *levels]


def _split(vectors: Vectors, places: Tensor, parts: int) -> Tensor:
    """Split each node `[n, S]` into `[n * parts, S / parts]` along its main direction."""
    keys = torch.empty(places.shape)
    every = max(1, places.shape[1] // _SAMPLE)
    step = max(1, _CHUNK // min(places.shape[1], 2 * _SAMPLE))
    for start in range(0, len(places), step):
        some = places[start : start + step]
        direction = _main_direction(_rows(vectors, some[:, ::every]))  # [n, D, 1]
        width = max(1, _CHUNK // len(some))
        for first in range(0, some.shape[1], width):
            rows = _rows(vectors, some[:, first : first + width])
            keys[start : start + step, first : first + width] = (rows @ direction)[..., 0]
    return places.gather(1, keys.argsort(1)).view(len(places) * parts, -1)


def _rows(vectors: Vectors, places: Tensor) -> Tensor:
    return vectors.rows(places.reshape(-1).numpy()).view(*places.shape, -1)


def _main_direction(rows: Tensor) -> Tensor:
    """Return the first principal direction `[n, D, 1]` of rows `[n, S, D]`, by power iteration."""
    rows = rows - rows.mean(1, keepdim=True)
    start = torch.randn(rows.shape[2], 1, generator=torch.Generator().manual_seed(0))
    direction = start.expand(len(rows), -1, -1)
    for _ in range(_ITERATIONS):
        direction = rows.transpose(1, 2) @ (rows @ direction)
        direction = direction / direction.norm(dim=1, keepdim=True).clamp(min=_TINY)
    return direction


def _coded(vectors: Vectors, places: Tensor) -> Blocks:
    count, size = places.shape
    centres = torch.empty(count, vectors.width + 1)
    scales, codes = torch.empty(count), torch.empty(count, size, vectors.width, dtype=torch.int8)
    step = max(1, _CHUNK // size)
    for start in range(0, count, step):
        part = slice(start, start + step)
        rows = _rows(vectors, places[part])
        mean = rows.mean(1, keepdim=True)
        rest = rows - mean
        centres[part, :-1], centres[part, -1] = mean[:, 0], rest.square().mean((1, 2)).sqrt()
        scales[part] = rest.abs().amax((1, 2)).clamp(min=_TINY) / LARGEST
        codes[part] = (rest / scales[part, None, None]).round().to(torch.int8)
    return Blocks(centres, scales, codes, places.to(torch.int32))
