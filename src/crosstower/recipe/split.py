"""The `data.split` section: how rows are split into train, valid and test. No torch."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel

Fractions = tuple[float, float, float]
Moment = int | float | str


class _FractionSplit(FrozenModel):
    fractions: Fractions = Field(
        default=(0.8, 0.1, 0.1), description="Shares of train, valid and test rows."
    )

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: Fractions) -> Fractions:
        if min(fractions) <= 0 or abs(sum(fractions) - 1.0) > 1e-9:
            raise ValueError(f"expected three positive shares that sum to 1, got {list(fractions)}")
        return fractions


class RandomSplit(_FractionSplit):
    """Assigns rows at random, equally for equal seeds.

    >>> RandomSplit(fractions=(0.7, 0.1, 0.2), seed=1).fractions
    (0.7, 0.1, 0.2)
    """

    kind: Literal["random"] = "random"
    seed: int = Field(default=0, ge=0, description="Seed of the assignment.")


class TimeSplit(_FractionSplit):
    """Earliest rows train, latest rows test; rows with equal times stay together.

    Splits follow `fractions`, or start at `valid_from` and `test_from`.

    >>> TimeSplit(column="time", valid_from="2024-03-01", test_from="2024-04-01").order
    'time'
    """

    kind: Literal["time"] = "time"
    column: str = Field(description="Time column of the data.")
    valid_from: Moment | None = Field(
        default=None,
        description="Time of the first validation row: ISO 8601 such as 2024-03-01, or a number if"
        " the column has numbers. Earlier rows train.",
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
            raise ValueError(f"{missing}: missing; set both valid_from and test_from")
        if self.valid_from is not None and "fractions" in self.model_fields_set:
            raise ValueError(
                "fractions: not allowed with valid_from and test_from; drop one of them"
            )
        return self

    @property
    def order(self) -> str:
        """The column that orders rows in time."""
        return self.column


class GroupSplit(_FractionSplit):
    """Assigns groups (a user, a query) at random, with all their rows.

    >>> GroupSplit(column="user_id").fractions
    (0.8, 0.1, 0.1)
    """

    kind: Literal["group"] = "group"
    column: str = Field(description="Group column of the data.")
    seed: int = Field(default=0, ge=0, description="Seed of the assignment.")


class LeaveLastOutSplit(FrozenModel):
    """Tests on the last row of each group and validates on the one before.

    >>> LeaveLastOutSplit(group="user_id", time="time").order
    'time'
    """

    kind: Literal["leave_last_out"] = "leave_last_out"
    group: str = Field(description="Group column of the data, such as a user id.")
    time: str = Field(description="Time column of the data.")

    @property
    def order(self) -> str:
        """The column that orders rows in time."""
        return self.time


class ColumnSplit(FrozenModel):
    """Reads train, valid or test from a column.

    For a retriever, the column may also hold history: a row that extends the history of its user
    but is neither trained on nor tested.

    >>> ColumnSplit(column="part").column
    'part'
    """

    kind: Literal["column"] = "column"
    column: str = Field(
        description="Data column with train, valid or test; for a retriever also history."
    )


VALID_FRACTION = 0.1
"""Share of the training rows that validates where no validation rows are given."""


class GivenSplit(FrozenModel):
    """Separate files: `data.path` trains, `data.valid` validates and `data.test` tests.

    >>> GivenSplit(valid_fraction=0.2).kind
    'given'
    """

    kind: Literal["given"] = "given"
    valid_fraction: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the training rows that validates, drawn at random; only without"
        f" validation rows, where {VALID_FRACTION} is the default.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of that draw.")
    test: bool = Field(
        default=True, description="Whether test rows are given; without them nothing is tested."
    )


Split = Annotated[
    RandomSplit | TimeSplit | GroupSplit | LeaveLastOutSplit | ColumnSplit | GivenSplit,
    Field(discriminator="kind"),
]


def order_of(split: Split) -> str | None:
    """Return the time column of a split, if it has one."""
    return split.order if isinstance(split, TimeSplit | LeaveLastOutSplit) else None
