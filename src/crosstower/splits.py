"""How rows are divided into train, valid and test: the `data.split` of a recipe. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from crosstower.frozen import Frozen

Fractions = tuple[float, float, float]


class _FractionSplit(Frozen):
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
    """The earliest rows train, the latest test; rows of one moment stay together."""

    kind: Literal["time"] = "time"
    column: str


class GroupSplit(_FractionSplit):
    """All rows of a group (a user, a query) on the same side."""

    kind: Literal["group"] = "group"
    column: str
    seed: int = Field(default=0, ge=0)


class LeaveLastOutSplit(Frozen):
    """The last row of each group tests, the one before validates."""

    kind: Literal["leave_last_out"] = "leave_last_out"
    group: str
    time: str


class ColumnSplit(Frozen):
    """A column that says train, valid or test."""

    kind: Literal["column"] = "column"
    column: str


class GivenSplit(Frozen):
    """Rows that come divided: `data.path` trains, `data.valid` and `data.test` hold the others."""

    kind: Literal["given"] = "given"


Split = Annotated[
    RandomSplit | TimeSplit | GroupSplit | LeaveLastOutSplit | ColumnSplit | GivenSplit,
    Field(discriminator="kind"),
]
