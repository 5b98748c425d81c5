"""The kinds of columns that a schema declares. Plain frozen pydantic models, no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.values.ids import id_of

Pooling = Literal["mean", "sum", "max"]
SequencePooling = Literal["mean", "sum", "max", "attention", "gru"]


class _Column(FrozenModel):
    source: str | None = Field(
        default=None, description="Column of the data; the column's name if unset."
    )


class _Coded(_Column):
    """Options of every column whose values become codes in a vocabulary or in hash buckets."""

    vocabulary: tuple[bool | int | float | str, ...] | None = Field(
        default=None, description="The known values. Learned from the training rows if unset."
    )
    min_count: int = Field(
        default=1,
        ge=1,
        description="Values seen fewer times in training get the code of unseen values.",
    )
    max_size: int | None = Field(
        default=None, ge=1, description="Keep only that many values, the most frequent ones."
    )
    hash_buckets: int | None = Field(
        default=None,
        ge=1,
        lt=2**31,
        description="Hash values into this many buckets: no vocabulary.",
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width; the model's if unset."
    )

    @model_validator(mode="after")
    def _hashed_or_listed(self) -> Self:
        listed = self.vocabulary is not None or self.min_count > 1 or self.max_size is not None
        if self.hash_buckets is not None and listed:
            raise ValueError(
                "hash_buckets needs no vocabulary: drop vocabulary, min_count and max_size,"
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
        raise ValueError("vocabulary lists an empty value, which is a missing one; remove it")
    if len(set(map(str, ids))) < len(ids):
        raise ValueError("vocabulary lists a value twice; every value must be there once")


class Categorical(_Coded):
    """One value a row out of a set: a user id, a city. Integers, strings, booleans or dates."""

    kind: Literal["categorical"] = "categorical"
    table: str | None = Field(
        default=None, description="Share vocabulary and embedding with this column."
    )


class Numeric(_Column):
    """One number a row.

    `standardise` subtracts the training mean and divides by the standard deviation; `log1p`
    standardises sign(x)·log(1+|x|); `quantile` maps to the training quantile, scaled to mean 0
    and variance 1; `bucketise` turns the number into one of `buckets` quantile ranges (or the
    ranges between `boundaries`), which is embedded like a category; `none` passes it on as it is.
    A missing number becomes the mean and sets an indicator.
    """

    kind: Literal["numeric"] = "numeric"
    transform: Literal["standardise", "log1p", "quantile", "bucketise", "none"] = "standardise"
    clip: float | None = Field(
        default=10.0, gt=0, description="Limit of a standardised value, in standard deviations."
    )
    buckets: int = Field(default=32, ge=2, description="How many ranges `bucketise` makes.")
    boundaries: tuple[float, ...] | None = Field(
        default=None, description="Upper ends of the ranges of `bucketise`, instead of quantiles."
    )
    dim: int | None = Field(
        default=None, ge=1, description="Embedding width of a bucketised number."
    )

    @model_validator(mode="after")
    def _bucket_options(self) -> Self:
        given = self.model_fields_set & {"buckets", "boundaries", "dim"}
        if given and self.transform != "bucketise":
            raise ValueError(
                f"{', '.join(sorted(given))} only mean something with transform: bucketise"
            )
        if self.boundaries is not None and list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError("boundaries must increase, each given once")
        return self


class Bag(_Coded):
    """A set of values a row, order without meaning: genres, amenities.

    The data holds a list, or a string that `separator` splits.
    """

    kind: Literal["bag"] = "bag"
    separator: str | None = Field(default=None, min_length=1, description="Splits a string column.")
    max_len: int | None = Field(
        default=None, ge=1, description="Keep the first values; the longest training row if unset."
    )
    pooling: Pooling = "mean"
    table: str | None = Field(
        default=None, description="Share vocabulary and embedding with this column."
    )


class Sequence(_Coded):
    """An ordered history a row, oldest first; the last `max_len` values are kept.

    `attention` reads it by one transformer block from its last value, `gru` by a recurrent one;
    mean, sum and max do not look at the order.
    """

    kind: Literal["sequence"] = "sequence"
    separator: str | None = Field(default=None, min_length=1, description="Splits a string column.")
    max_len: int = Field(default=50, ge=1)
    pooling: SequencePooling = "mean"
    table: str | None = Field(
        default=None, description="Share vocabulary and embedding with this column."
    )


class Text(_Column):
    """Words: a title, a description, a question.

    `hashed` (nothing to download) embeds words, pairs of words and character n-grams by hash
    bucket and takes the mean; the embeddings are trained with the model, and `table` shares them
    between the text of a query and the text of items. Any other encoder gives frozen vectors:
    'wordllama' (extra "text"), or one that `register_text_encoder` made known.
    """

    kind: Literal["text"] = "text"
    encoder: str = Field(default="hashed", min_length=1)
    hash_buckets: int = Field(default=50_000, ge=1, lt=2**31)
    word_ngrams: int = Field(default=2, ge=1, le=3, description="Longest run of words.")
    char_ngrams: tuple[int, int] | None = Field(
        default=(3, 4), description="Shortest and longest run of characters within a word."
    )
    max_len: int = Field(default=64, ge=1, description="N-grams kept: words first.")
    dim: int | None = Field(default=None, ge=1, description="Embedding width.")
    table: str | None = Field(default=None, description="Share embeddings with this text column.")

    @property
    def hashed(self) -> bool:
        """Whether its n-grams are embedded, in contrast to frozen vectors."""
        return self.encoder == "hashed"

    @model_validator(mode="after")
    def _consistent_options(self) -> Self:
        if self.char_ngrams is not None and not 1 <= self.char_ngrams[0] <= self.char_ngrams[1]:
            raise ValueError(f"char_ngrams: expected [shortest, longest], got {self.char_ngrams}")
        own = {"hash_buckets", "word_ngrams", "char_ngrams", "max_len", "dim", "table"}
        given = sorted(self.model_fields_set & own)
        if given and not self.hashed:
            raise ValueError(f"{', '.join(given)} only mean something with encoder: hashed")
        return self


class Distance(FrozenModel):
    """Kilometres along the earth's surface between two places, such as an asker and a restaurant.

    A number like `numeric`: a missing coordinate makes the distance missing.
    """

    kind: Literal["distance"] = "distance"
    origin: tuple[str, str] = Field(description="Data columns of latitude and longitude, degrees.")
    to: tuple[str, str] = Field(description="Data columns of the other place.")
    transform: Literal["standardise", "log1p", "quantile", "none"] = "log1p"


class Vector(_Column):
    """A fixed-width list of numbers a row: an image or text embedding made elsewhere."""

    kind: Literal["vector"] = "vector"
    width: int = Field(ge=1, description="Numbers a row.")
    normalise: Literal["standardise", "l2", "none"] = "standardise"


class Cross(FrozenModel):
    """The combination of single-valued columns, hashed into buckets.

    Lives in the wide side of Wide & Deep; with `dim` it is embedded as well, for every model.
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
    """Return the data columns that a column reads; a cross reads none of its own."""
    match column:
        case Cross():
            return ()
        case Distance(origin=origin, to=to):
            return (*origin, *to)
        case _:
            return (column.source or name,)


def is_single_coded(column: Column) -> bool:
    """Tell whether the column gives one code a row, so that a cross may use it."""
    bucketised = isinstance(column, Numeric) and column.transform == "bucketise"
    return isinstance(column, Categorical) or bucketised
