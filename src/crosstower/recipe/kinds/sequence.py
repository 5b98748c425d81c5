"""A sequence: an ordered history per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from crosstower.errors import did_you_mean
from crosstower.recipe.event_list import EventList, TimedList
from crosstower.recipe.kinds.coded import Coded
from crosstower.recipe.kinds.counter import Names
from crosstower.recipe.kinds.id_lists import ListColumn, ListState
from crosstower.recipe.kinds.kind import Kind, ListField
from crosstower.recipe.kinds.registry import register_column
from crosstower.recipe.own_columns import ages_name

_COMPARING = ("target", "bst")
"""Poolings that always compare a history with the row's own item; hstu does if it has a target."""

_WITHOUT_TIMES = (
    *("mean", "sum", "max", "attention", "gru"),
    *("transformer", "bsarec", "target", "bst"),
)
"""Built-in poolings that cannot read times; one of your own declares an option `times`."""

_OPTIONS = ("blocks", "heads", "alpha", "cutoff")


@register_column("sequence")
class Sequence(ListColumn):
    """An ordered history per row, oldest first; the last `max_len` values are kept.

    Mean, sum and max ignore the order. `attention` is one transformer block read at the last value,
    and `gru` a recurrent layer. `transformer` (SASRec), `bsarec` and `hstu` encode every position
    of the history, and a retriever learns from all of them at once.

    In a ranker, a history may be compared with the row's own item: `target` weighs each value by
    how it fits the item (DIN), `bst` is a transformer block over history and item, and `hstu` with
    a `target` encodes the item after the history.

    With `event` the history is not read from the data: it lists the events of that type, from the
    logs of `data.events`, which have the values of the row in the columns `by` and happened before
    the row's time. Its ids are those of the column that owns its table.

    With `times`, `hstu` also reads when each event happened, relative to the row that predicts.

    >>> Sequence(pooling="bsarec", heads=4).pooling_options()
    {'heads': 4}
    """

    keep_last: ClassVar[bool] = True

    kind: Literal["sequence"] = "sequence"
    max_len: int = Field(default=50, ge=1, description="Number of last values to keep, L.")
    pooling: str = Field(
        default="mean",
        min_length=1,
        description="How embeddings `[L, D]` become one vector `[D]`: mean, sum, max, attention,"
        " gru, transformer, bsarec, hstu, target or bst.",
    )
    blocks: int | None = Field(
        default=None, ge=1, le=64, description="transformer, bsarec, hstu: blocks (default 2)."
    )
    heads: int | None = Field(
        default=None,
        ge=1,
        description="transformer, bsarec, hstu, bst: attention heads (default 1).",
    )
    alpha: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="bsarec: share of the frequency filter; attention has the rest (default 0.7).",
    )
    cutoff: int | None = Field(
        default=None,
        ge=0,
        description="bsarec: twice the highest frequency that counts as low (default 5).",
    )
    target: str | None = Field(
        default=None,
        description="With pooling target, bst or hstu: categorical column that the history is"
        " compared with (default of target and bst: the one of the same table).",
    )
    times: bool | Annotated[str, Field(min_length=1)] = Field(
        default=False,
        description="hstu: read the times of the events. True where the recipe fills the history"
        " from rows with a time; else a list column of the data with one time per value.",
    )
    event: Names | None = Field(
        default=None,
        description="Type of the earlier events that fill the history, or several types, from the"
        " logs of data.events (default: the data has the column).",
    )
    by: Names | None = Field(
        default=None,
        description="With event: data columns whose values a row shares with its events, such as"
        " user_id.",
    )

    @model_validator(mode="after")
    def _events_have_a_key(self) -> Self:
        if (self.event is None) != (self.by is None):
            given, other = ("event", "by: user_id") if self.by is None else ("by", "event: click")
            raise ValueError(
                f"{given}: not enough; a history of earlier events needs their type and the key"
                f" that they share with a row: add {other}, or remove {given}"
            )
        return self

    @model_validator(mode="after")
    def _target_is_read(self) -> Self:
        if self.target is not None and self.pooling not in (*_COMPARING, "hstu"):
            raise ValueError(
                f"target: not read by pooling {self.pooling}; set pooling to target, bst or hstu,"
                " or remove target"
            )
        return self

    @model_validator(mode="after")
    def _times_are_read(self) -> Self:
        if self.times and self.pooling in _WITHOUT_TIMES:
            raise ValueError(
                f"times: not read by pooling {self.pooling}; set pooling to hstu, or remove times"
            )
        if self.event is not None and self.times not in (True, False):
            raise ValueError(
                f"times: the events of '{self.event[0]}' have their own times; set times: true"
                f" instead of '{self.times}'"
            )
        return self

    @property
    def _compares(self) -> bool:
        return self.pooling in _COMPARING or self.target is not None

    def check(self, name: str, columns: Mapping[str, Kind]) -> None:
        """Raise ValueError if a shared table has no owner, or the target is not one column."""
        super().check(name, columns)
        self.event_list(name, columns)
        if self._compares:
            self._target(name, columns)

    def event_list(self, name: str, columns: Mapping[str, Kind]) -> EventList | None:
        """Return the earlier events that fill the column: ids of the column that owns its table.

        Raises:
            ValueError: no single-valued column gives the ids.

        """
        if self.event is None or self.by is None:
            return None
        owner = columns.get(self.table or "")
        if not isinstance(owner, Coded) or not owner.has_code:
            raise ValueError(
                f"column '{name}': event fills it with the ids of a categorical column; name that"
                " column as its table, as in table: item_id"
            )
        (value,) = owner.sources(str(self.table))
        return EventList(
            self.source or name, self.event, self.by, value, self.max_len, self.ages_column(name)
        )

    def resolved(self, columns: Mapping[str, Kind]) -> Kind:
        """Return the column with the width of its table's owner, and with its target."""
        found = super().resolved(columns)
        if not self._compares:
            return found
        name = next(name for name, column in columns.items() if column is self)
        return found.model_copy(update={"target": self._target(name, columns)})

    def _target(self, name: str, columns: Mapping[str, Kind]) -> str:
        """Return the column that the values are compared with.

        Raises:
            ValueError: no column shares the table, or several do and none is named.

        """
        table = self.table or name
        found = [
            n
            for n, c in columns.items()
            if isinstance(c, Coded) and c.has_code and (c.table or n) == table
        ]
        if self.target is not None and self.target not in found:
            raise ValueError(
                f"column '{name}': target '{self.target}' is not a categorical column of the table"
                f" '{table}'{did_you_mean(self.target, found)}; allowed:"
                f" {', '.join(found) or 'none'}"
            )
        if not found:
            raise ValueError(
                f"column '{name}': pooling {self.pooling} compares the history with the row's item,"
                f" but no categorical column has the table '{table}'; share the item's table, as in"
                " table: item_id"
            )
        if self.target is None and len(found) > 1:
            raise ValueError(
                f"column '{name}': pooling {self.pooling} compares the history with one column, but"
                f" {', '.join(found)} have the table '{table}'; name one, as in target: {found[0]}"
            )
        return self.target or found[0]

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the data column of the history, and that of its ages if times are read."""
        ages = self.ages_column(name)
        return (*super().sources(name), *([] if ages is None else [ages]))

    def ages_column(self, name: str) -> str | None:
        """Return the data column of the ages of the events; None if times are not read."""
        return ages_name(self.source or name) if self.times else None

    def timed_list(self, name: str) -> TimedList | None:
        """Return the lists of the history and its times, if the data has both."""
        if not isinstance(self.times, str):
            return None
        column = self.source or name
        return TimedList(column, self.times, ages_name(column), self.separator)

    def inputs(self, name: str, state: ListState) -> ListField:
        """Return a field with a list of codes per row, and their ages if times are read."""
        ages = ages_name(name) if self.times else None
        return replace(super().inputs(name, state), target=self.target, ages=ages)

    def pooling_options(self) -> dict[str, float]:
        """Return the options of the pooling that are given."""
        given = {name: getattr(self, name) for name in _OPTIONS}
        return {name: value for name, value in given.items() if value is not None}
