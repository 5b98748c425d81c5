"""Keys of counts as hashes of 64 bits: one hash per value, combined over the columns of a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from crosstower.values.columns import text_of
from crosstower.values.hashing import U64, combine, hash_id, hash_ids
from crosstower.values.ids import text_of_value

NO_KEY = 0
"""Hash of a missing value, and of a key with one."""


def hashes_of(raw: pl.Series) -> U64:
    """Return the hash `[B]` of each value by its canonical text; `NO_KEY` where it is missing.

    >>> bool((hashes_of(pl.Series([7, None])) == hashes_of(pl.Series(["7", ""]))).all())
    True

    Raises:
        DataError: the column holds lists or structures.

    """
    return hash_ids(text_of(raw))


def hash_of(value: Any) -> int:
    """Return the hash of one value, as `hashes_of` does.

    >>> hash_of("7") == hash_of(7) == int(hashes_of(pl.Series([7]))[0])
    True

    Raises:
        DataError: it is not a single value.

    """
    text = text_of_value(value)
    return NO_KEY if text is None else hash_id(text)


def keys_of(parts: Sequence[U64]) -> U64:
    """Return the key `[B]` of hashes, column by column; `NO_KEY` where one is.

    Args:
        parts: `[B]` hashes per column, or `[1]` for a value that all rows share.

    """
    size = max(len(part) for part in parts)
    whole = [np.broadcast_to(part, size) for part in parts]
    keys = combine(whole)
    keys[np.any([part == NO_KEY for part in whole], axis=0)] = NO_KEY
    return keys
