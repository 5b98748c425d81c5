"""The `calibration` section of a recipe: maps fitted to the validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.frozen import FrozenModel, former_keys

Method = Literal["platt", "isotonic", "none"]


class Calibration(FrozenModel):
    """Calibrate predictions by maps fitted to the validation rows.

    `platt` has two parameters and needs few rows; `isotonic` fits any increasing function and needs
    some thousand rows. Neither reverses two rows of one content type. Rows of different types may
    swap, since calibrated predictions are comparable across types.

    >>> section = Calibration(method="platt", tasks={"watch_time": "isotonic"})
    >>> section.method_of("like"), section.method_of("watch_time")
    ('platt', 'isotonic')
    """

    method: Method = Field(default="none", description="Method of all tasks not listed in `tasks`.")
    by: str | None = Field(
        default=None, description="Content type column; one map is fitted per value."
    )
    tasks: dict[str, Method] = Field(default={}, description="TASK: METHOD, for tasks that differ.")
    negative_sampling_rate: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={},
        description="TASK: share of negatives that the training rows keep, in (0, 1]. Its"
        " probabilities are corrected before the method is fitted. Validation and test rows must"
        " not be sampled.",
    )

    _former = former_keys({"negatives_kept": "negative_sampling_rate"}, where="calibration")

    @model_validator(mode="after")
    def _fits_by_type(self) -> Self:
        if self.by is not None and not {self.method, *self.tasks.values()} - {"none"}:
            raise ValueError(
                f"by: '{self.by}' has no effect without a method; set platt or isotonic in"
                " method or tasks, or drop by"
            )
        return self

    @property
    def active(self) -> bool:
        """Whether calibration changes the predictions of any task."""
        methods = {self.method, *self.tasks.values()}
        return methods != {"none"} or any(rate < 1 for rate in self.negative_sampling_rate.values())

    def method_of(self, task: str) -> Method:
        """Return the method of one task."""
        return self.tasks.get(task, self.method)


def check_calibration(section: Calibration, kinds: Mapping[str, str]) -> None:
    """Check the section against the schema's tasks.

    Args:
        section: calibration section of the recipe.
        kinds: kind (binary, regression or rating) per task.

    Raises:
        RecipeError: an unknown task, a sampling rate of a task that is not binary, or `by`
            without any method; one line per error.

    """
    lines = [
        f"calibration.{key}.{task}: no such task{did_you_mean(task, list(kinds))};"
        f" the schema has: {', '.join(kinds)}"
        for key, named in (
            ("tasks", section.tasks),
            ("negative_sampling_rate", section.negative_sampling_rate),
        )
        for task in named
        if task not in kinds
    ]
    lines += [
        f"calibration.negative_sampling_rate.{task}: a {kinds[task]} task has no negatives; remove"
        " it"
        for task in section.negative_sampling_rate
        if kinds.get(task, "binary") != "binary"
    ]
    if section.by is not None and all(section.method_of(task) == "none" for task in kinds):
        lines.append(
            f"calibration.by: '{section.by}' has no effect, as the method of every task is none;"
            " set platt or isotonic for one, or drop by"
        )
    if lines:
        raise RecipeError("\n".join(lines))
