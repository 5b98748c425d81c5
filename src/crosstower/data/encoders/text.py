"""Texts to codes: words, runs of words and character n-grams, hashed into buckets."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.layout import PADDING, RESERVED_CODES
from crosstower.recipe.schema import Text
from crosstower.values.hashing import combine, hash_ids

_WORD = r"[\p{L}\p{N}]+"
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


def words_of(texts: pl.Series) -> pl.Series:
    """Return the words of each text: lower case, compatibility forms made one (NFKC).

    >>> words_of(pl.Series(["Vegan food, near ME!", None])).to_list()
    [['vegan', 'food', 'near', 'me'], None]
    """
    return texts.str.normalize("NFKC").str.to_lowercase().str.extract_all(_WORD)


def text_codes(texts: pl.Series, column: Text) -> NDArray[np.int32]:
    """Return codes `[B, max_len]` of n-grams: words first, then runs of words, then characters.

    A text that is missing or has no word is all padding.
    """
    words = words_of(texts).fill_null([])
    counts = words.list.len().to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(texts)), counts)
    flat = words.explode(empty_as_null=False, keep_nulls=False).cast(pl.String)
    grams = [(row, hash_ids(flat))]
    for length in range(2, column.word_ngrams + 1):
        grams.append(_runs(*grams[0], length))
    if column.char_ngrams is not None and len(flat):
        grams.append(_character_grams(row, flat, *column.char_ngrams))
    rows = np.concatenate([r for r, _ in grams])
    buckets = np.concatenate([h for _, h in grams]) % np.uint64(column.hash_buckets)
    codes = buckets.astype(np.int32) + RESERVED_CODES
    return _padded(rows, codes, rows_in_all=len(texts), length=column.max_len)


def _runs(row: Rows, hashes: Hashes, length: int) -> tuple[Rows, Hashes]:
    """Return the hash of each run of `length` words within a row."""
    last = max(len(row) - length + 1, 0)
    within = row[:last] == row[length - 1 :]
    run = hashes[:last]
    for step in range(1, length):
        run = combine([run, hashes[step : step + last]])
    return row[:last][within], run[within]


def _character_grams(row: Rows, words: pl.Series, low: int, high: int) -> tuple[Rows, Hashes]:
    """Return the hashed n-grams of every word in angle brackets, whole words left out."""
    distinct = words.unique()
    grams = [
        [word[i : i + n] for n in range(low, high + 1) for i in range(len(word) - n + 1)]
        for word in (f"<{w}>" for w in distinct)
    ]
    table = pl.DataFrame({"word": distinct, "grams": grams}, schema_overrides={
        "word": pl.String, "grams": pl.List(pl.String)
    })  # fmt: skip
    found = pl.DataFrame({"row": row, "word": words}).join(
        table, on="word", how="left", maintain_order="left"
    )
    flat = found.explode("grams", empty_as_null=False, keep_nulls=False)
    return flat["row"].to_numpy(), combine([hash_ids(flat["grams"])])  # apart from whole words


def _padded(
    rows: Rows, codes: NDArray[np.int32], *, rows_in_all: int, length: int
) -> NDArray[np.int32]:
    order = np.argsort(rows, kind="stable")
    rows, codes = rows[order], codes[order]
    counts = np.bincount(rows, minlength=rows_in_all)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    padded = np.full((rows_in_all, length), PADDING, dtype=np.int32)
    kept = place < length
    padded[rows[kept], place[kept]] = codes[kept]
    return padded
