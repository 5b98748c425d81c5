"""Finding of a check of rows."""

from __future__ import annotations

from typing import Literal

from crosstower.recipe.frozen import FrozenModel

Severity = Literal["problem", "warning", "note"]
"""A problem makes training or its metrics wrong, a warning may; a note is a fact."""


class Finding(FrozenModel):
    """One thing that a check has found.

    `rows` are the first rows concerned, such as "row 12 of clicks.csv: 'abc'".

    >>> Finding(check="labels", severity="note", sentence="click: mean 0.03").rows
    ()
    """

    check: str
    severity: Severity
    sentence: str
    rows: tuple[str, ...] = ()


class LabelsOfPeriod(FrozenModel):
    """Mean labels of the rows of a period; None for a task without a label there."""

    start: str
    rows: int
    means: dict[str, float | None]


class Validation(FrozenModel):
    """All findings about the rows of a recipe, and its labels over time.

    >>> Validation(source="clicks.csv", rows={"train": 8, "valid": 1, "test": 1}).problems
    ()
    """

    source: str
    rows: dict[str, int]
    compared: int = 0
    findings: tuple[Finding, ...] = ()
    periods: tuple[LabelsOfPeriod, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that make training or its metrics wrong."""
        return self.of("problem")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of a severity."""
        return tuple(one for one in self.findings if one.severity == severity)
