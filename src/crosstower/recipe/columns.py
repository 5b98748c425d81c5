"""Column kinds of a schema, as immutable pydantic models. No torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.values.ids import id_of

Pooling = Literal["mean", "sum", "max"]
SequencePooling = Literal["mean", "sum", "max", "attention", "gru"]


class _Column(FrozenModel):
    expected: ClassVar[str] = "a cell that its column kind can read"

    def clean(self, raw: pl.Series) -> pl.Series:
        """Return raw cells as values that the kind reads; an own kind replaces this.

        Args:
            raw: `[B]`, the column of the data; null where a cell is missing.

        Returns:
            `[B]`. A cell that is null here alone is bad, and `expected` says what it should be.

        """
        return raw

    source: str | None = Field(
        default=None, description="Data column (default: the name of the column)."
    )


class _Coded(_Column):
    """Options of columns with a vocabulary or hash buckets."""

    vocabulary: tuple[bool | int | float | str, ...] | None = Field(
        default=None, description="Known values (default: learned from the training rows)."
    )
    min_count: int = Field(
        default=1,
        ge=1,
        description="Less frequent training values get the code of unseen values.",
    )
    max_size: int | None = Field(
        default=None,
        ge=1,
        description="Maximum size of the vocabulary; the most frequent values are kept.",
    )
    hash_buckets: int | None = Field(
        default=None,
        ge=1,
        lt=2**31,
        description="Number of hash buckets, instead of a vocabulary.",
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width (default: that of the model)."
    )

    @model_validator(mode="after")
    def _hashed_or_listed(self) -> Self:
        listed = self.vocabulary is not None or self.min_count > 1 or self.max_size is not None
        if self.hash_buckets is not None and listed:
            raise ValueError(
                "hash_buckets replaces the vocabulary: drop vocabulary, min_count and max_size,"
                " or drop hash_buckets"
            )
        if self.vocabulary is not None and (self.min_count > 1 or self.max_size is not None):
            raise ValueError("a given vocabulary is kept whole: drop min_count and max_size")
        if self.vocabulary is not None:
            _check_vocabulary(self.vocabulary)
        return self


def _check_vocabulary(values: tuple[bool | float | str, ...]) -> None:
    try:
        ids = [id_of(value) for value in values]
    except DataError as error:
        raise ValueError(f"vocabulary: {error}") from None
    if None in ids:
        raise ValueError("vocabulary has an empty value, which means missing; remove it")
    if len(set(map(str, ids))) < len(ids):
        raise ValueError("vocabulary repeats a value; list each value once")


class Categorical(_Coded):
    """One value per row from a set, such as a user id or a city.

    Values are integers, strings, booleans or dates.
    """

    kind: Literal["categorical"] = "categorical"
    table: str | None = Field(
        default=None, description="Column whose vocabulary and embedding to share."
    )


class Numeric(_Column):
    """One number per row.

    `standardise` subtracts the training mean and divides by the standard deviation. `log1p`
    standardises sign(x)·log(1+|x|). `quantile` maps to the training quantile, scaled to mean 0
    and variance 1. `bucketise` maps to one of `buckets` quantile ranges (or ranges between
    `boundaries`), embedded like a category. `none` keeps the number. A missing number becomes the
    mean and sets an indicator.
    """

    kind: Literal["numeric"] = "numeric"
    transform: Literal["standardise", "log1p", "quantile", "bucketise", "none"] = "standardise"
    clip: float | None = Field(
        default=10.0,
        gt=0,
        description="Maximum absolute value after scaling, in standard deviations.",
    )
    buckets: int = Field(default=32, ge=2, description="Number of ranges of `bucketise`.")
    boundaries: tuple[float, ...] | None = Field(
        default=None, description="Upper bounds of the ranges of `bucketise`, instead of quantiles."
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width of a bucketised number."
    )

    @model_validator(mode="after")
    def _bucket_options(self) -> Self:
        given = self.model_fields_set & {"buckets", "boundaries", "dim"}
        if given and self.transform != "bucketise":
            raise ValueError(f"{', '.join(sorted(given))}: allowed only with transform: bucketise")
        if self.boundaries is not None and list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError("boundaries must increase, each given once")
        return self


class Bag(_Coded):
    """An unordered set of values per row, such as genres or amenities.

    The data has a list, or text that `separator` splits.
    """

    kind: Literal["bag"] = "bag"
    separator: str | None = Field(
        default=None, min_length=1, description="Separator of a text column."
    )
    max_len: int | None = Field(
        default=None,
        ge=1,
        description="Number of first values to keep (default: the longest training row).",
    )
    pooling: Pooling = "mean"
    table: str | None = Field(
        default=None, description="Column whose vocabulary and embedding to share."
    )


class Sequence(_Coded):
    """An ordered history per row, oldest first; the last `max_len` values are kept.

    `attention` is one transformer block read at the last value, and `gru` a recurrent layer; mean,
    sum and max ignore the order.
    """

    kind: Literal["sequence"] = "sequence"
    separator: str | None = Field(
        default=None, min_length=1, description="Separator of a text column."
    )
    max_len: int = Field(default=50, ge=1)
    pooling: SequencePooling = "mean"
    table: str | None = Field(
        default=None, description="Column whose vocabulary and embedding to share."
    )


class Text(_Column):
    """Text, such as a title, a description or a question.

    The encoder `hashed` embeds words, word pairs and character n-grams by hash bucket and takes
    their mean. Its embeddings are trained with the model; `table` shares them between queries and
    items. Any other encoder gives frozen vectors: 'wordllama' (extra "text"), or one registered
    with `register_text_encoder`.
    """

    kind: Literal["text"] = "text"
    encoder: str = Field(default="hashed", min_length=1)
    hash_buckets: int = Field(default=50_000, ge=1, lt=2**31)
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


class Distance(FrozenModel):
    """Distance in km on the surface of the earth, such as from a user to a restaurant.

    It is a number like `numeric`; a missing coordinate makes it missing.
    """

    kind: Literal["distance"] = "distance"
    origin: tuple[str, str] = Field(
        description="Data columns of the first latitude and longitude, in degrees."
    )
    to: tuple[str, str] = Field(
        description="Data columns of the second latitude and longitude, in degrees."
    )
    transform: Literal["standardise", "log1p", "quantile", "none"] = "log1p"


class Vector(_Column):
    """A fixed-width list of numbers per row, such as a precomputed embedding."""

    kind: Literal["vector"] = "vector"
    width: int = Field(ge=1, description="Length of the lists.")
    normalise: Literal["standardise", "l2", "none"] = "standardise"


class Cross(FrozenModel):
    """Combination of single-valued columns, hashed into buckets.

    It belongs to the wide side of Wide & Deep; with `dim`, every model embeds it.
    """

    kind: Literal["cross"] = "cross"
    columns: tuple[str, ...] = Field(min_length=2)
    hash_buckets: int = Field(default=100_000, ge=2, lt=2**31)
    dim: int | None = Field(default=None, ge=1)


Column = Annotated[
    Categorical | Numeric | Bag | Sequence | Text | Vector | Distance | Cross,
    Field(discriminator="kind"),
]
Coded = Categorical | Bag | Sequence


def sources_of(name: str, column: Column) -> tuple[str, ...]:
    """Return the data columns that a column reads; none for a cross."""
    match column:
        case Cross():
            return ()
        case Distance(origin=origin, to=to):
            return (*origin, *to)
        case _:
            return (column.source or name,)


def is_single_coded(column: Column) -> bool:
    """Return whether a column has one code per row, as a cross needs."""
    bucketised = isinstance(column, Numeric) and column.transform == "bucketise"
    return isinstance(column, Categorical) or bucketised
