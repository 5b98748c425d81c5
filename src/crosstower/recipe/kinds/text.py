"""A text column: words and n-grams hashed into buckets, or vectors of a frozen encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from crosstower.errors import DataError
from crosstower.recipe.kinds.coded import refuse_options
from crosstower.recipe.kinds.kind import Column, Inputs, Kind, ListField
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.text_encoders import text_encoder, text_vectors
from crosstower.values.codes import PADDING, RESERVED_CODES
from crosstower.values.columns import Cells, none_bad, text_of
from crosstower.values.hashing import combine, hash_ids

_WORD = r"[\p{L}\p{N}]+"
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


@register_column("text")
class Text(Column):
    """Text, such as a title, a description or a question.

    The encoder `hashed` embeds words, word pairs and character n-grams by hash bucket and takes
    their mean. Its embeddings are trained with the model; `table` shares them between queries and
    items. Any other encoder gives frozen vectors: 'wordllama' (extra "text"), or one registered
    with `register_text_encoder`.

    >>> title = Text(char_ngrams=None, max_len=4)
    >>> title.coder(None)(pl.Series(["late show", None])).shape  # two words and one pair, padded
    (2, 4)
    """

    rank: ClassVar[int] = 2

    kind: Literal["text"] = "text"
    encoder: str = Field(
        default="hashed",
        min_length=1,
        description="hashed, wordllama, or a name given to `register_text_encoder`.",
    )
    hash_buckets: int = Field(
        default=50_000, ge=1, lt=2**31, description="Number of hash buckets of n-grams."
    )
    word_ngrams: int = Field(
        default=2, ge=1, le=3, description="Maximum number of words per n-gram."
    )
    char_ngrams: tuple[int, int] | None = Field(
        default=(3, 4), description="Minimum and maximum length of character n-grams."
    )
    max_len: int = Field(
        default=64, ge=1, description="Maximum number of n-grams; words come first."
    )
    dim: int | None = Field(default=None, ge=1, description="Embedding width.")
    table: str | None = Field(default=None, description="Text column whose embeddings to share.")

    @property
    def hashed(self) -> bool:
        """Whether the encoder is `hashed`, not one with frozen vectors."""
        return self.encoder == "hashed"

    @model_validator(mode="after")
    def _consistent_options(self) -> Self:
        if self.char_ngrams is not None and not 1 <= self.char_ngrams[0] <= self.char_ngrams[1]:
            raise ValueError(f"char_ngrams: expected [shortest, longest], got {self.char_ngrams}")
        own = {"hash_buckets", "word_ngrams", "char_ngrams", "max_len", "dim", "table"}
        given = sorted(self.model_fields_set & own)
        if given and not self.hashed:
            raise ValueError(f"{', '.join(given)} are allowed only with encoder: hashed")
        return self

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if a shared table has no owner, or an option is its owner's."""
        if self.table is None:
            return
        owner = columns.get(self.table)
        if not isinstance(owner, Text) or owner.table is not None or not owner.hashed:
            raise ValueError(
                f"column '{name}': table '{self.table}' is not a hashed text column with its own"
                " table; name such a column"
            )
        refuse_options(self, name, self.table, {"hash_buckets", "dim"})

    def resolved(self, columns: Mapping[str, Kind]) -> Kind:
        """Return the column with the buckets and the embedding width of its table's owner."""
        owner = columns.get(self.table or "")
        if not isinstance(owner, Text):
            return self
        return self.model_copy(update={"hash_buckets": owner.hash_buckets, "dim": owner.dim})

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the reader of texts."""
        return _text_cells

    def learner(self) -> None:
        """Return None: nothing is learned. An unknown encoder is an error before reading."""
        if not self.hashed:
            text_encoder(self.encoder)

    def inputs(self, name: str, state: Any) -> Inputs:
        """Return a list of codes per row if hashed, else one number per component."""
        if not self.hashed:
            return tuple(f"{name}[{i}]" for i in range(text_encoder(self.encoder).width))
        size = RESERVED_CODES + self.hash_buckets
        return ListField(name, size, self.table or name, self.max_len, "mean", self.dim)

    def coder(self, state: Any) -> Callable[[pl.Series], NDArray[Any]]:
        """Return the coder that hashes n-grams, or calls the frozen encoder."""
        if not self.hashed:
            return partial(text_vectors, name=self.encoder)
        return partial(text_codes, column=self)


def _text_cells(raw: pl.Series) -> Cells:
    if raw.dtype.is_nested():
        raise DataError(f"column '{raw.name}': expected text, got {raw.dtype}; declare it a bag or"
                        " a vector")  # fmt: skip
    text = raw if raw.dtype == pl.String else text_of(raw)
    return Cells(text, none_bad(len(raw)), "text", "repair the cell")


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
