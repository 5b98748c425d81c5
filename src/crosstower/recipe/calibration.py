"""The `calibration` section of a recipe: how predictions are put right on the validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.frozen import FrozenModel

Method = Literal["platt", "isotonic", "none"]


class Calibration(FrozenModel):
    """Make predictions mean what they say, by a map fitted to the validation rows.

    `platt` has two parameters and wants few rows; `isotonic` takes any rising shape and wants some
    thousand rows. Neither turns the order of two rows of one type round; rows of different types
    may change places, because their predictions then mean the same.

    >>> section = Calibration(method="platt", tasks={"watch_time": "isotonic"})
    >>> section.method_of("like"), section.method_of("watch_time")
    ('platt', 'isotonic')
    """

    method: Method = Field(default="none", description="Of every task that `tasks` does not name.")
    by: str | None = Field(
        default=None, description="Raw column with the content type; one map is fitted a value."
    )
    tasks: dict[str, Method] = Field(default={}, description="TASK: METHOD, where it differs.")
    negatives_kept: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={},
        description="TASK: the share of the negatives that the training rows kept, in (0, 1]. Its"
        " probabilities are put right before the method is fitted; validation and test rows must"
        " be as they come.",
    )

    @model_validator(mode="after")
    def _fits_by_type(self) -> Self:
        if self.by is not None and not {self.method, *self.tasks.values()} - {"none"}:
            raise ValueError(
                f"by: '{self.by}' has nothing to fit a value: set method to platt or isotonic, for"
                " all tasks or in tasks, or drop by"
            )
        return self

    @property
    def active(self) -> bool:
        """Whether the predictions of any task may change."""
        methods = {self.method, *self.tasks.values()}
        return methods != {"none"} or any(kept < 1 for kept in self.negatives_kept.values())

    def method_of(self, task: str) -> Method:
        """Return the method of one task."""
        return self.tasks.get(task, self.method)


def check_calibration(section: Calibration, kinds: Mapping[str, str]) -> None:
    """Check the section against the schema's tasks.

    Args:
        section: of the recipe.
        kinds: {task: binary, regression or rating} of all tasks.

    Raises:
        RecipeError: it names a task that is not there, corrects one that is not binary for left
            out negatives, or has `by` where no task is fitted; with one line an error.

    """
    lines = [
        f"calibration.{key}.{task}: no such task{did_you_mean(task, list(kinds))};"
        f" the schema has: {', '.join(kinds)}"
        for key, named in (("tasks", section.tasks), ("negatives_kept", section.negatives_kept))
        for task in named
        if task not in kinds
    ]
    lines += [
        f"calibration.negatives_kept.{task}: a {kinds[task]} task has no negatives; only binary"
        " tasks can be corrected for those left out; remove it"
        for task in section.negatives_kept
        if kinds.get(task, "binary") != "binary"
    ]
    if section.by is not None and all(section.method_of(task) == "none" for task in kinds):
        lines.append(
            f"calibration.by: '{section.by}' has nothing to fit a value, the method of every task"
            " is none; set platt or isotonic for one, or drop by"
        )
    if lines:
        raise RecipeError("\n".join(lines))
