"""Stable hashes of ids: 64 bits, the same on every machine and in every version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ALL_BITS = 2**64 - 1
_POWER_BASE = np.uint64(0x100000001B3)  # odd, so that its powers never become 0 modulo 2^64


def mix(values: NDArray[Any], seed: int = 0) -> U64:
    """Return well-mixed 64-bit hashes of integers (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + _GOLDEN * np.uint64(seed + 1)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def hash_ids(ids: pl.Series, seed: int = 0) -> U64:
    """Return hashes of canonical ids by their text; nulls hash to 0.

    The hash of a text is its bytes as a polynomial modulo 2^64, then mixed with its length.
    """
    text = ids.cast(pl.String).fill_null("")
    lengths = text.str.len_bytes().to_numpy().astype(np.int64)
    joined = np.frombuffer("".join(text.to_list()).encode(), dtype=np.uint8)
    starts = np.cumsum(lengths) - lengths
    position = np.arange(len(joined)) - np.repeat(starts, lengths)
    hashes = mix(_polynomial(joined, position, starts, lengths) ^ lengths.astype(np.uint64), seed)
    return np.where(ids.is_null().to_numpy(), np.uint64(0), hashes)


def hash_id(value: int | str) -> int:
    """Return the result of `hash_ids` for one canonical id, as a Python integer."""
    data, power, total = str(value).encode(), 1, 0
    for byte in data:
        power = power * int(_POWER_BASE) & _ALL_BITS
        total += (byte + 1) * power
    z = ((total & _ALL_BITS) ^ len(data)) + int(_GOLDEN) & _ALL_BITS
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _ALL_BITS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _ALL_BITS
    return z ^ (z >> 31)


def _polynomial(
    joined: NDArray[np.uint8],
    position: NDArray[np.int64],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> U64:
    longest = int(lengths.max(initial=0))
    powers = np.full(longest + 1, _POWER_BASE, dtype=np.uint64).cumprod(dtype=np.uint64)
    sums = np.zeros(len(lengths), dtype=np.uint64)
    filled = lengths > 0
    if len(joined):
        terms = (joined.astype(np.uint64) + np.uint64(1)) * powers[position]
        sums[filled] = np.add.reduceat(terms, starts[filled])
    return sums


def combine(codes: Sequence[NDArray[Any]]) -> U64:
    """Return one hash a row of several code columns; the order of the columns counts."""
    result = np.zeros(len(codes[0]), dtype=np.uint64)
    for place, column in enumerate(codes):
        result = mix(result ^ mix(column, seed=place), seed=place)
    return result


def uniform(hashes: U64) -> NDArray[np.float64]:
    """Return hashes as numbers in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) / 2.0**53
