"""Columns and the schema: what the user declares once. Plain frozen pydantic models, no torch.

Everything else (encoders, model inputs, losses, metrics) is derived from a `Schema`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.errors import did_you_mean
from crosstower.frozen import Frozen
from crosstower.tasks import Binary, Task

Pooling = Literal["mean", "sum", "max"]


class _Column(Frozen):
    source: str | None = Field(
        default=None, description="Column of the data; the column's name if unset."
    )


class _Coded(_Column):
    """Options of every column whose values become codes in a vocabulary or in hash buckets."""

    vocabulary: tuple[str | int, ...] | None = Field(
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
        if self.vocabulary is not None and len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError("vocabulary lists a value twice; every value must be there once")
        return self


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
    """An ordered history a row, oldest first; the last `max_len` values are kept."""

    kind: Literal["sequence"] = "sequence"
    separator: str | None = Field(default=None, min_length=1, description="Splits a string column.")
    max_len: int = Field(default=50, ge=1)
    pooling: Pooling = "mean"
    table: str | None = Field(
        default=None, description="Share vocabulary and embedding with this column."
    )


class Vector(_Column):
    """A fixed-width list of numbers a row: an image or text embedding made elsewhere."""

    kind: Literal["vector"] = "vector"
    width: int = Field(ge=1, description="Numbers a row.")
    normalise: Literal["standardise", "l2", "none"] = "standardise"


class Cross(Frozen):
    """The combination of single-valued columns, hashed into buckets.

    Lives in the wide side of Wide & Deep; with `dim` it is embedded as well, for every model.
    """

    kind: Literal["cross"] = "cross"
    columns: tuple[str, ...] = Field(min_length=2)
    hash_buckets: int = Field(default=100_000, ge=2, lt=2**31)
    dim: int | None = Field(default=None, ge=1)


Column = Annotated[
    Categorical | Numeric | Bag | Sequence | Vector | Cross, Field(discriminator="kind")
]
Coded = Categorical | Bag | Sequence


class Schema(Frozen):
    """The columns that a model reads and the tasks that it learns, by name.

    A kind alone is short for that kind with its defaults:

    >>> schema = Schema(columns={"user_id": "categorical"}, tasks={"click": "binary"})
    >>> schema.columns["user_id"].min_count
    1
    """

    columns: dict[str, Column] = Field(min_length=1)
    tasks: dict[str, Task] = Field(min_length=1)

    @field_validator("columns", "tasks", mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"kind": v} if isinstance(v, str) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, column in self.columns.items():
            if isinstance(column, Cross):
                self._check_cross(name, column)
            elif isinstance(column, Coded) and column.table is not None:
                self._check_table(name, column)
        self._check_leaks()
        return self

    def _check_cross(self, name: str, cross: Cross) -> None:
        allowed = [n for n, c in self.columns.items() if is_single_coded(c)]
        for part in cross.columns:
            if part not in allowed:
                raise ValueError(
                    f"cross '{name}' names '{part}', which is not a categorical or bucketised"
                    f" column{did_you_mean(part, allowed)}; allowed: {', '.join(allowed)}"
                )

    def _check_table(self, name: str, column: Categorical | Bag | Sequence) -> None:
        owner = self.columns.get(column.table or "")
        if not isinstance(owner, Coded) or owner.table is not None:
            allowed = [
                n for n, c in self.columns.items() if isinstance(c, Coded) and c.table is None
            ]
            raise ValueError(
                f"column '{name}' shares the table of '{column.table}', which does not own one"
                f"{did_you_mean(column.table or '', allowed)}; allowed: {', '.join(allowed)}"
            )
        given = column.model_fields_set & {
            "vocabulary", "min_count", "max_size", "hash_buckets", "dim"
        }  # fmt: skip
        if given:
            raise ValueError(
                f"column '{name}' shares the table of '{column.table}': set"
                f" {', '.join(sorted(given))} there"
            )

    def _check_leaks(self) -> None:
        labels = {task.column or name: name for name, task in self.tasks.items()}
        for name, task in self.tasks.items():
            if isinstance(task, Binary) and task.true_probability is not None:
                labels[task.true_probability] = name
        for name, column in self.columns.items():
            source = None if isinstance(column, Cross) else column.source or name
            if source in labels:
                raise ValueError(
                    f"column '{name}' reads '{source}', which is the answer of task"
                    f" '{labels[source]}': a model that sees its label learns nothing else;"
                    " remove the column"
                )

    def plain(self) -> dict[str, Any]:
        """Return plain data without defaults that `Schema.model_validate` reads back."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        for name, column in self.columns.items():
            plain["columns"][name]["kind"] = column.kind
        for name, task in self.tasks.items():
            plain["tasks"][name]["kind"] = task.kind
        return plain

    def sources(self) -> list[str]:
        """Return the data columns that the model reads, each once, in order."""
        names = (c.source or n for n, c in self.columns.items() if not isinstance(c, Cross))
        return list(dict.fromkeys(names))

    def label_sources(self) -> list[str]:
        """Return the data columns that hold labels and true probabilities, each once."""
        names = [task.column or name for name, task in self.tasks.items()]
        truths = [t.true_probability for t in self.tasks.values() if isinstance(t, Binary)]
        return list(dict.fromkeys(names + [t for t in truths if t is not None]))


def is_single_coded(column: Column) -> bool:
    """Tell whether the column gives one code a row, so that a cross may use it."""
    bucketised = isinstance(column, Numeric) and column.transform == "bucketise"
    return isinstance(column, Categorical) or bucketised
