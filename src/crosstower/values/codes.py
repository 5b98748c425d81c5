"""Ids to codes: vocabularies and hash buckets. Vectorised NumPy."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.values.columns import matched, matched_id
from crosstower.values.hashing import U64, hash_id, hash_ids, mix
from crosstower.values.ids import Id

PADDING, MISSING, UNSEEN = 0, 1, 2
RESERVED_CODES = 3
"""Codes below it mean padding, missing and unseen in every field."""

Codes = NDArray[np.int32]
_SEEDS = 8
_LAST_HASH = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Vocabulary:
    """Known values, Int64 or String: the i-th has code `RESERVED_CODES` + i.

    They are in ascending order, which `code_of` needs.

    Ids are found by a hash of 64 bits. Integers never share one; a text that is not known is taken
    for one of n known texts with a probability of n / 2^64.
    """

    values: pl.Series
    size: int = field(init=False)
    """Number of codes, reserved ones included."""

    def __post_init__(self) -> None:
        """Count the codes."""
        object.__setattr__(self, "size", RESERVED_CODES + len(self.values))

    def encode(self, ids: pl.Series) -> Codes:
        """Return the code of every canonical id; unknown ids are `UNSEEN`, nulls `MISSING`."""
        known = ids if ids.dtype == self.values.dtype else matched(ids, self.values)
        codes = self._hashed.codes(known)
        if known.null_count():
            codes[known.is_null().to_numpy()] = UNSEEN
            codes[ids.is_null().to_numpy()] = MISSING
        return codes

    def code_of(self, value: Id) -> int:
        """Return the code of one canonical id as `encode` does.

        Found by bisection, which takes microseconds where a series takes a hundred.
        """
        code = self._code_of(value)
        if code == UNSEEN and len(self.values) <= 2:  # true may be known as 1
            other = matched_id(value, self.values)
            return UNSEEN if other is None else self._code_of(other)
        return code

    def _code_of(self, value: Id) -> int:
        if self.values.dtype == pl.String:
            text = str(value)
            place = bisect_left(range(len(self.values)), text, key=self.values.__getitem__)
            found = place < len(self.values) and self.values[place] == text
        elif type(value) is str:
            return UNSEEN
        else:
            place = int(self._numbers.searchsorted(value))
            found = place < len(self._numbers) and int(self._numbers[place]) == value
        return RESERVED_CODES + place if found else UNSEEN

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        return self.values.to_numpy()

    @cached_property
    def _hashed(self) -> HashTable:
        return hash_table(self.values)


class HashTable:
    """Codes by hash: the hashes in order, and where those that begin with the same bits start."""

    def __init__(self, values: pl.Series, seed: int) -> None:
        self._seed = seed
        hashes = _hashes(values, seed)
        order = np.argsort(hashes, kind="stable")
        bits = max((len(hashes) - 1).bit_length(), 1)
        self._shift = np.uint64(64 - bits)
        runs = np.bincount(self._run(hashes), minlength=1 << bits)
        self._start = (np.cumsum(runs) - runs).astype(np.int32)
        self._hashes = np.append(hashes[order], _LAST_HASH)
        self._codes = np.append(order + RESERVED_CODES, UNSEEN).astype(np.int32)

    @property
    def distinct(self) -> bool:
        """Whether no two values have the same hash."""
        known = self._hashes[:-1]
        return bool((known[1:] != known[:-1]).all())

    def codes(self, ids: pl.Series) -> Codes:
        """Return the code of every id; unknown ids are `UNSEEN`, nulls anything."""
        hashes = _hashes(ids, self._seed)
        place = self._start.take(self._run(hashes)).astype(np.intp)
        behind = np.flatnonzero(self._hashes.take(place) < hashes)
        while len(behind):  # few and fewer: the mean run is of one hash at most
            place[behind] += 1
            behind = behind[self._hashes.take(place[behind]) < hashes[behind]]
        found = self._hashes.take(place) == hashes
        return np.where(found, self._codes.take(place), np.int32(UNSEEN))

    def _run(self, hashes: U64) -> NDArray[np.int64]:
        return (hashes >> self._shift).view(np.int64)


def hash_table(values: pl.Series) -> HashTable:
    """Return the table of values, of the first seed that gives each a hash of its own."""
    table = HashTable(values, seed=0)
    for seed in range(1, _SEEDS):
        if table.distinct:
            break
        table = HashTable(values, seed)
    return table


def _hashes(ids: pl.Series, seed: int) -> U64:
    if ids.dtype == pl.String:
        return ids.hash(seed).to_numpy()
    return mix((ids.fill_null(0) if ids.null_count() else ids).to_numpy(), seed)


@dataclass(frozen=True)
class HashBuckets:
    """Ids hashed into buckets: no vocabulary, no unseen values, but collisions."""

    buckets: int
    size: int = field(init=False)
    """Number of codes, reserved ones included."""

    def __post_init__(self) -> None:
        """Count the codes."""
        object.__setattr__(self, "size", RESERVED_CODES + self.buckets)

    def encode(self, ids: pl.Series) -> Codes:
        """Return the code of every canonical id; nulls are `MISSING`."""
        codes = (hash_ids(ids) % np.uint64(self.buckets)).astype(np.int32) + RESERVED_CODES
        return np.where(ids.is_null().to_numpy(), MISSING, codes).astype(np.int32)

    def code_of(self, value: Id) -> int:
        """Return the code of one canonical id, as `encode` does."""
        return hash_id(value) % self.buckets + RESERVED_CODES


Table = Vocabulary | HashBuckets
