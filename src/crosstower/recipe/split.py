"""How rows are divided into train, valid and test: the `data.split` of a recipe. No torch."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel

Fractions = tuple[float, float, float]
Moment = int | float | str


class _FractionSplit(FrozenModel):
    fractions: Fractions = Field(
        default=(0.8, 0.1, 0.1), description="Shares of train, valid, test."
    )

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: Fractions) -> Fractions:
        if min(fractions) <= 0 or abs(sum(fractions) - 1.0) > 1e-9:
            raise ValueError(f"three positive shares that sum to 1, got {list(fractions)}")
        return fractions


class RandomSplit(_FractionSplit):
    """Each row by chance, the same for the same seed."""

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0)


class TimeSplit(_FractionSplit):
    """The earliest rows train, the latest test; rows of one moment stay together.

    The shares are those of `fractions`, or the splits begin at `valid_from` and `test_from`.
    """

    kind: Literal["time"] = "time"
    column: str
    valid_from: Moment | None = Field(
        default=None,
        description="Time of the first valid row, ISO 8601 such as 2024-03-01, or a number if the"
        " column holds numbers. Earlier rows train.",
    )
    test_from: Moment | None = Field(default=None, description="Time of the first test row.")

    @field_validator("valid_from", "test_from", mode="before")
    @classmethod
    def _date_as_text(cls, given: object) -> object:
        return given.isoformat() if isinstance(given, date) else given

    @model_validator(mode="after")
    def _shares_or_times(self) -> Self:
        if (self.valid_from is None) != (self.test_from is None):
            missing = "valid_from" if self.valid_from is None else "test_from"
            raise ValueError(f"{missing}: missing; a split at given times needs both ends")
        if self.valid_from is not None and "fractions" in self.model_fields_set:
            raise ValueError("drop fractions, or drop valid_from and test_from")
        return self

    @property
    def order(self) -> str:
        """The column that orders rows in time."""
        return self.column


class GroupSplit(_FractionSplit):
    """All rows of a group (a user, a query) on the same side."""

    kind: Literal["group"] = "group"
    column: str
    seed: int = Field(default=0, ge=0)


class LeaveLastOutSplit(FrozenModel):
    """The last row of each group tests, the one before validates."""

    kind: Literal["leave_last_out"] = "leave_last_out"
    group: str
    time: str

    @property
    def order(self) -> str:
        """The column that orders rows in time."""
        return self.time


class ColumnSplit(FrozenModel):
    """A column that says train, valid or test."""

    kind: Literal["column"] = "column"
    column: str


class GivenSplit(FrozenModel):
    """Rows that come divided: `data.path` trains, `data.valid` and `data.test` hold the others."""

    kind: Literal["given"] = "given"


Split = Annotated[
    RandomSplit | TimeSplit | GroupSplit | LeaveLastOutSplit | ColumnSplit | GivenSplit,
    Field(discriminator="kind"),
]


def order_of(split: Split) -> str | None:
    """Return the column by which a split orders rows in time, if it does."""
    return split.order if isinstance(split, TimeSplit | LeaveLastOutSplit) else None
