"""Columns with a vocabulary or hash buckets: options, tables, and tables that are shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl
from pydantic import Field, model_validator

from crosstower.errors import DataError, did_you_mean
from crosstower.recipe.kinds.kind import Column, Kind
from crosstower.recipe.kinds.learner import Learner
from crosstower.values.codes import HashBuckets, Table, Vocabulary
from crosstower.values.columns import settled
from crosstower.values.ids import id_of
from crosstower.values.vocabulary_fit import Keep, VocabularyFit

_OF_OWNER = {"vocabulary", "min_count", "max_size", "keep", "hash_buckets", "dim"}


@dataclass
class GivenTable:
    """The table that a column declares: nothing of it is learned."""

    table: Table

    def add(self, values: pl.Series) -> None:
        """Ignore the values."""

    def merge(self, other: GivenTable) -> None:
        """Ignore the other table, which is the same."""

    def finish(self) -> Table:
        """Return the table."""
        return self.table


TableLearner = VocabularyFit | GivenTable


class Coded(Column):
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
    keep: Keep = Field(
        default="recent",
        description="Values that a warm start keeps beyond max_size: recent or frequent ones.",
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
    table: str | None = Field(
        default=None, description="Column whose vocabulary and embedding to share."
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
        if "keep" in self.model_fields_set and self.max_size is None:
            raise ValueError("keep chooses among more values than max_size; set max_size as well")
        if self.vocabulary is not None:
            _check_vocabulary(self.vocabulary)
        return self

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if a shared table has no owner, or an option is its owner's."""
        if self.table is None:
            return
        allowed = [n for n, c in coded_columns(columns).items() if c.table is None]
        if self.table not in allowed:
            raise ValueError(
                f"column '{name}': table '{self.table}' is not a column with its own table"
                f"{did_you_mean(self.table, allowed)}; allowed: {', '.join(allowed)}"
            )
        refuse_options(self, name, self.table, _OF_OWNER)

    def resolved(self, columns: Mapping[str, Kind]) -> Kind:
        """Return the column with the embedding width of its table's owner."""
        owner = columns.get(self.table or "")
        if not isinstance(owner, Coded):
            return self
        return self.model_copy(update={"dim": owner.dim})

    def learner(self) -> Learner:
        """Return the learner of the table and of other states."""
        return self.learner_of(self.own_table())

    def learner_of(self, table: TableLearner) -> Learner:
        """Return the learner that gives its values to the learner of a table, own or shared."""
        raise NotImplementedError

    def own_table(self) -> TableLearner:
        """Return the learner of a table that the column does not share."""
        if self.hash_buckets is not None:
            return GivenTable(HashBuckets(self.hash_buckets))
        if self.vocabulary is not None:
            return GivenTable(given_vocabulary(self.vocabulary))
        return VocabularyFit(self.min_count, self.max_size, self.keep)


def coded_columns(columns: Mapping[str, Kind]) -> dict[str, Coded]:
    """Return the columns with a table, own or shared; an own kind may learn something else."""
    coded = {name: c for name, c in columns.items() if isinstance(c, Coded)}
    return {name: c for name, c in coded.items() if type(c).learner is Coded.learner}


def refuse_options(column: Kind, name: str, owner: str, options: set[str]) -> None:
    """Raise ValueError if a column that shares a table has options of the table's owner."""
    given: Any = column.model_fields_set & options
    if given:
        raise ValueError(
            f"column '{name}' shares the table of '{owner}': set {', '.join(sorted(given))} there"
        )


def _check_vocabulary(values: tuple[bool | float | str, ...]) -> None:
    try:
        ids = [id_of(value) for value in values]
    except DataError as error:
        raise ValueError(f"vocabulary: {error}") from None
    if None in ids:
        raise ValueError("vocabulary has an empty value, which means missing; remove it")
    if len(set(map(str, ids))) < len(ids):
        raise ValueError("vocabulary repeats a value; list each value once")


def given_vocabulary(values: Sequence[bool | float | str]) -> Vocabulary:
    """Return the vocabulary that a schema lists."""
    texts = [str(id_of(value)) for value in values]
    return Vocabulary(settled(pl.Series("value", texts, dtype=pl.String)).sort())
