"""A sketch of the training rows that recognises them: the smallest hashes of their inputs.

Keeping the k smallest of all hashes is a sample by value (Bar-Yossef et al. 2002): whether a row
is in the sample depends only on the row, so a repeated row is compared with the same sample.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.ragged import Ragged
from crosstower.errors import RunError, first_line
from crosstower.storage.files import write_parquet
from crosstower.values.arrays import Indices
from crosstower.values.hashing import U64, mix

FINGERPRINTS = "fingerprints.parquet"
_HASH, _SIZE, _ALL = "hash", 1 << 16, np.uint64(2**64 - 1)
_DEVIATIONS, _LEAST = 3.0, 0.01


def row_hashes(batch: Batch) -> U64:
    """Return a hash `[B]` of the inputs of each row, labels aside; padding does not count.

    Each code is multiplied by the odd factor of its column and of its place in a list.
    """
    parts = [batch.codes, batch.numbers.view(torch.int32), *batch.lists.values()]
    total = np.zeros(len(batch.codes), dtype=np.uint64)
    for seed, part in enumerate(parts):
        width = part.length if isinstance(part, Ragged) else part.shape[1]
        factors = mix(np.arange(width), seed=seed) | np.uint64(1)
        if isinstance(part, Ragged):
            total += _sums_of_lists(part, factors)
            continue
        for column, factor in enumerate(factors):  # no copy of a whole wide part
            total += part.numpy()[:, column].astype(np.uint64) * factor
    return mix(total)


def _sums_of_lists(lists: Ragged, factors: U64) -> U64:
    """Return the sums `[B]` that the padded lists would have."""
    offsets, counts = lists.offsets.numpy(), lists.counts.numpy()
    places = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    sums = np.zeros(len(places) + 1, dtype=np.uint64)
    np.cumsum(lists.values.numpy().astype(np.uint64) * factors[places], out=sums[1:])
    return sums[offsets[1:]] - sums[offsets[:-1]]  # modulo 2^64, as everything here


def numbered_hashes(inputs: U64, batch: Batch, numbers: NDArray[np.int64]) -> tuple[U64, U64]:
    """Return two hashes `[B]` of the inputs, labels, group, weights and number of each row.

    Args:
        inputs: `row_hashes` of the batch.
        batch: encoded rows.
        numbers: `[B]`, the number of each row in the source.

    """
    hashes, labels = inputs, batch.labels.numpy() + np.float32(0.0)  # no -0.0
    for column in np.where(np.isnan(labels), np.float32(np.nan), labels).T:
        hashes = mix(hashes ^ mix(np.ascontiguousarray(column).view(np.int32)))
    if batch.groups is not None:
        hashes = mix(hashes ^ mix(batch.groups.numpy()))
    if batch.weights is not None:
        for column in batch.weights.numpy().T:
            hashes = mix(hashes ^ mix(np.ascontiguousarray(column).view(np.int32)))
    first, second = (mix(hashes ^ mix(numbers, seed=seed), seed=seed) for seed in (1, 2))
    return first, second


@dataclass
class NumberedRows:
    """A hash of all rows, labels and row numbers of each split, in any order of addition.

    It is a sum over the rows, modulo 2^128.
    """

    sums: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def add(self, split: str, first: U64, second: U64) -> None:
        """Add rows of a split by their `numbered_hashes`, both `[B]`."""
        self._add(split, int(first.sum()), int(second.sum()))

    def merge(self, other: NumberedRows) -> None:
        """Add other rows."""
        for split, halves in other.sums.items():
            self._add(split, *halves)

    def _add(self, split: str, first: int, second: int) -> None:
        one, other = self.sums.get(split, (0, 0))
        self.sums[split] = ((one + first) % 2**64, (other + second) % 2**64)

    @property
    def fingerprint(self) -> str:
        """The hash, in hexadecimal digits after the number of its form."""
        whole = hashlib.blake2b(digest_size=16)
        for split in sorted(self.sums):
            whole.update(f"{split} {self.sums[split]} ".encode())
        return f"2:{whole.hexdigest()}"


@dataclass
class Smallest:
    """The smallest `size` of all hashes added; `limit` is the largest that is surely kept."""

    size: int = _SIZE
    hashes: U64 = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    limit: np.uint64 = _ALL

    def add(self, hashes: U64) -> None:
        """Add more hashes, repeated ones included."""
        self.hashes = np.concatenate([self.hashes, hashes[hashes <= self.limit]])
        if len(self.hashes) > self.size:
            self.hashes = np.sort(self.hashes)[: self.size]
            self.limit = self.hashes[-1]

    def merge(self, other: Smallest) -> None:
        """Add the smallest hashes of other rows."""
        self.add(other.hashes)
        self.limit = min(self.limit, other.limit)


@dataclass(frozen=True)
class Fingerprints:
    """Sorted, distinct hashes of training rows up to `limit`.

    `repeated` is the share of the held-out rows whose inputs are those of a training row: what to
    expect of new rows of the same kind.
    """

    hashes: U64
    limit: np.uint64
    repeated: float

    @staticmethod
    def of(train: Smallest, held_out: Smallest) -> Fingerprints:
        """Return the sketch of the training rows, compared with that of held-out rows."""
        limit = min(train.limit, held_out.limit)
        compared = held_out.hashes[held_out.hashes <= limit]
        known = np.unique(train.hashes)
        repeated = float(np.isin(compared, known).mean()) if len(compared) else 0.0
        return Fingerprints(known, train.limit, repeated)

    def save(self, folder: Path) -> None:
        """Write the sketch into a run folder."""
        meta = pl.DataFrame({_HASH: self.hashes}).with_columns(
            limit=pl.lit(int(self.limit), dtype=pl.UInt64), repeated=pl.lit(self.repeated)
        )
        write_parquet(meta, folder / FINGERPRINTS)

    @staticmethod
    def load(folder: Path) -> Fingerprints | None:
        """Return the sketch of a run folder; None where it has none, as in a bundle.

        Raises:
            RunError: the file is damaged.

        """
        path = folder / FINGERPRINTS
        if not path.is_file():
            return None
        try:
            table = pl.read_parquet(path)
            first = table.row(0, named=True)
            limit, repeated = np.uint64(first["limit"]), float(first["repeated"])
            return Fingerprints(table[_HASH].to_numpy(), limit, repeated)
        except (OSError, pl.exceptions.PolarsError, KeyError) as error:
            reason = first_line(error)
            raise RunError(f"{path}: damaged: {reason}; train the run again") from error


@dataclass
class FingerprintCounter:
    """Hashes of encoded rows, chunk by chunk; memory does not grow with rows."""

    trained: Smallest = field(default_factory=Smallest)
    held_out: Smallest = field(default_factory=Smallest)
    numbered: NumberedRows = field(default_factory=NumberedRows)

    def add(self, batch: Batch, rows: Mapping[str, Indices], numbers: NDArray[np.int64]) -> None:
        """Add a chunk.

        Args:
            batch: of B rows.
            rows: positions of the rows of each split.
            numbers: `[B]`, the number of each row in the source.

        """
        inputs = row_hashes(batch)
        first, second = numbered_hashes(inputs, batch, numbers)
        for split, chosen in rows.items():
            (self.trained if split == "train" else self.held_out).add(inputs[chosen])
            self.numbered.add(split, first[chosen], second[chosen])

    def merge(self, other: FingerprintCounter) -> None:
        """Add the hashes of other rows."""
        self.trained.merge(other.trained)
        self.held_out.merge(other.held_out)
        self.numbered.merge(other.numbered)

    def finish(self) -> tuple[Fingerprints, str]:
        """Return the hashes that recognise training rows, and the hash of all rows."""
        return Fingerprints.of(self.trained, self.held_out), self.numbered.fingerprint


@dataclass
class Recognised:
    """Counts rows that can be compared with a sketch, and those that it holds."""

    sketch: Fingerprints
    compared: int = 0
    known: int = 0

    def add(self, batch: Batch) -> None:
        """Compare encoded rows."""
        hashes = row_hashes(batch)
        sampled: NDArray[np.uint64] = hashes[hashes <= self.sketch.limit]
        self.compared += len(sampled)
        self.known += int(np.isin(sampled, self.sketch.hashes).sum())

    def warnings(self) -> list[str]:
        """Return a sentence if more rows are known than chance explains."""
        expected = self.compared * self.sketch.repeated
        spread = math.sqrt(expected * (1.0 - self.sketch.repeated))
        if self.known <= max(expected + _DEVIATIONS * spread, _LEAST * self.compared):
            return []
        counts = f"{self.known:,} of {self.compared:,} compared by their inputs"
        share = f"{self.known / self.compared:.0%} of these rows trained the model ({counts})"
        return [f"{share}: it does better on them than on new rows"]
