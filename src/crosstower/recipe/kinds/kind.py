"""Interface of column kinds: options, cells, learned state, codes, and model inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError

from crosstower.errors import DataError, first_line
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList, TimedList
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.cell_times import CellTimes
from crosstower.recipe.kinds.learner import Learner
from crosstower.recipe.own_columns import ages_name
from crosstower.values.codes import Table
from crosstower.values.columns import Cells, none_bad
from crosstower.values.lists import age_cells


@dataclass(frozen=True)
class CodeField:
    """A field with one code per row: a category, a bucketised number, or a cross.

    >>> CodeField("city", size=103, table="city").dim is None
    True

    Args:
        name: of the column.
        size: number of codes, including the three reserved ones.
        table: fields with the same table share their embedding rows.
        dim: embedding width; the model's if None; 0 for a cross that only the wide side reads.

    """

    name: str
    size: int
    table: str
    dim: int | None = None


@dataclass(frozen=True)
class ListField:
    """A field with a list of codes per row, pooled by the model.

    >>> ListField("tags", size=53, table="tags", length=5).pooling
    'mean'

    Args:
        name: of the column.
        size: number of codes, including the three reserved ones.
        table: fields with the same table share their embedding rows.
        length: maximum length of a list.
        pooling: how the model pools a list.
        dim: embedding width; the model's if None.
        target: single-valued field of the same table that a target pooling compares values with.
        options: names and values of the options of the pooling that differ from its defaults.
        ages: key of the ages of the values in `Batch.lists`; None if the pooling reads no times.

    """

    name: str
    size: int
    table: str
    length: int
    pooling: str = "mean"
    dim: int | None = None
    target: str | None = None
    options: tuple[tuple[str, float], ...] = ()
    ages: str | None = None


Inputs = CodeField | ListField | tuple[str, ...]
"""Model inputs of a column: one code or a list of codes per row, or numbers by name."""


@dataclass(frozen=True)
class Reading:
    """A column of cleaned frames: its name, the columns it is read from, and how.

    `source` is the data column that a message names, `values` are columns read before this one
    that `read` takes instead of the raw cells of `source`.
    """

    name: str
    source: str
    read: Callable[..., Cells]
    values: tuple[str, ...] = ()


class Kind(FrozenModel):
    """Base of all column kinds; the fields of a class are its options."""

    rank: ClassVar[int] = 0
    """Codes and numbers of a lower rank come first in a batch."""

    if TYPE_CHECKING:  # each kind declares its Literal
        kind: Any

    State: ClassVar[Any] = None
    """Type of the state that `learner` learns, a frozen model; None without one."""

    @property
    def combines(self) -> tuple[str, ...]:
        """Columns whose codes this one combines, instead of reading data."""
        return ()

    @property
    def has_code(self) -> bool:
        """Whether the column has one code per row, as a cross needs."""
        return False

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data columns that a column of this name reads."""
        raise NotImplementedError

    def counts(self) -> tuple[EventCount, ...]:
        """Return the counts of earlier events that the column reads."""
        return ()

    def event_list(self, name: str, columns: Mapping[str, Kind]) -> EventList | None:
        """Return the earlier events that fill a column of this name; None if the data has it."""
        return None

    def timed_list(self, name: str) -> TimedList | None:
        """Return the lists of a history and its times, if the data has both; None otherwise."""
        return None

    def row_times(self, name: str) -> Mapping[str, CellTimes]:
        """Return the data columns that are read as times, such as that of the row, and how."""
        return {}

    def ages_column(self, name: str) -> str | None:
        """Return the data column of the ages of a history's events; None if they are not read."""
        return None

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if the options do not fit the other columns of the schema."""

    def resolved(self, columns: Mapping[str, Kind]) -> Kind:
        """Return the column with the options that it takes from the owner of its table."""
        return self

    def readings(self, name: str) -> list[Reading]:
        """Return how each column of a cleaned frame is read."""
        raise NotImplementedError

    def learner(self) -> Learner | None:
        """Return the learner of the state from training rows; None if there is nothing to learn."""
        return None

    def table_of(self, state: Any) -> Table | None:
        """Return the vocabulary or the hash buckets in a state, if the column owns them."""
        return None

    def plain_state(self, state: Any) -> Any:
        """Return a state, its table aside, as plain data for JSON."""
        if self.State is None:
            return None
        try:
            checked = _adapter(self.State).validate_python(state)
        except ValidationError:
            raise DataError(
                f"column kind '{self.kind}': finish of its learner must return the State of"
                f" the kind, got {type(state).__name__}"
            ) from None
        return _adapter(self.State).dump_python(checked, mode="json")

    def state_from(self, plain: Any, table: Table | None) -> Any:
        """Return the state that `plain_state` wrote; `table` is its table."""
        return None if self.State is None else _adapter(self.State).validate_python(plain)

    def inputs(self, name: str, state: Any) -> Inputs:
        """Return the model inputs of a column of this name."""
        raise NotImplementedError

    def coder(self, state: Any) -> Callable[..., Any]:
        """Return the function that encodes cleaned values `[B]`.

        Returns:
            Codes `[B]`, int32, for a `CodeField`; numbers `[B, n]` for n names; for a `ListField`
            the codes `[V]` and their number per row `[B]`, or codes `[B, L]` padded with 0.

        """
        raise NotImplementedError

    def value_coder(self, state: Any) -> Callable[[Any], Any] | None:
        """Return a quick function for one raw value of a request; None if there is none.

        Returns:
            Gives the code of a value, or its numbers, as `coder` does for the cleaned cell; None
            for a value that has to go the way of files. A subclass that is another kind does not
            inherit it.

        """
        return None

    def count_coder(self, state: Any) -> Callable[[NDArray[np.float64]], NDArray[Any]] | None:
        """Return a quick function for the `counts` of a request; None if there is none.

        Returns:
            Gives the numbers `[B, n]` of counts `[B, counts]`, as `coder` does for the cleaned
            ones. A subclass that is another kind does not inherit it.

        """
        return None


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


class Column(Kind):
    """Base of column kinds that read one column of the data.

    A kind of your own is a subclass of it, or of a built-in kind such as `Categorical`, registered
    with `register_column`. `clean` turns raw cells into values, and `expected` says what a cell
    should be. `learner`, `inputs` and `coder` say what is learned from the training rows, what a
    model gets, and how values are encoded; a subclass of a built-in kind inherits them.

    Args:
        source: Data column (default: the name of the column).

    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.

    """

    expected: ClassVar[str] = "a cell that its column kind can read"

    source: str | None = Field(
        default=None, description="Data column (default: the name of the column)."
    )

    def clean(self, raw: pl.Series) -> pl.Series:
        """Return raw cells as values that the kind reads; an own kind replaces this.

        Args:
            raw: `[B]`, the column of the data; null where a cell is missing.

        Returns:
            `[B]`. A cell that is null only here is bad, and `expected` says what it should be.

        """
        return raw

    def reader(self) -> Callable[[pl.Series], Cells]:
        """Return the function that checks cells and brings them to the values of the kind."""
        return _as_they_are

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data column that the column reads."""
        return (self.source or name,)

    def readings(self, name: str) -> list[Reading]:
        """Return how its cells are read: by `reader`, after an own `clean`."""
        return readings_of({name: self})

    def read(self, raw: pl.Series, name: str, read: Callable[[pl.Series], Cells]) -> Cells:
        """Return the values of `read` for cells that a custom `clean` has changed.

        Raises:
            DataError: `clean` cannot read the column, or returns no values `[B]`.

        """
        if raw.dtype == pl.Null:  # all are missing, which no kind has to read
            return read(raw)
        values = self._cleaned(name, raw)
        cells = read(values.alias(raw.name))
        lost = raw.is_not_null() & values.is_null()
        if not lost.any():
            return cells
        return Cells(cells.values, cells.bad | lost, self.expected, "repair the cell")

    def _cleaned(self, name: str, raw: pl.Series) -> pl.Series:
        kind = self.kind
        try:
            values = cast("object", self.clean(raw))  # own code may return anything
        except pl.exceptions.PolarsError as error:
            reason = first_line(error)
            raise DataError(
                f"column '{raw.name}': expected {self.expected}, got {raw.dtype}, which kind"
                f" '{kind}' cannot read ({reason})"
            ) from error
        if isinstance(values, pl.Series) and len(values) == len(raw):
            return values
        given = type(values).__name__
        if isinstance(values, pl.Series):
            given = f"{len(values):,} values"
        raise DataError(
            f"column '{name}': clean of kind '{kind}' must return a polars Series of"
            f" {len(raw):,} values, got {given}"
        )


def readings_of(columns: Mapping[str, Kind]) -> list[Reading]:
    """Return how the columns of cleaned frames are read, in the order of the schema."""
    readers = {name: c.reader() for name, c in columns.items() if isinstance(c, Column)}
    readings = list[Reading]()
    for name, column in columns.items():
        if not isinstance(column, Column):
            readings += column.readings(name)
            continue
        read = readers[name]
        if type(column).clean is not Column.clean:
            read = partial(column.read, name=name, read=read)
        readings.append(Reading(name, column.source or name, read))
        ages = column.ages_column(name)
        if ages is not None:
            readings.append(Reading(ages_name(name), ages, age_cells))
    return readings


def _as_they_are(raw: pl.Series) -> Cells:
    return Cells(raw, none_bad(len(raw)), "a value", "repair the cell")
