"""The `tune` section of a recipe: the options to search, and how."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from crosstower.recipe.frozen import FrozenModel

Number = int | float


class Dimension(FrozenModel):
    """Values of one option: a range from `low` to `high`, or `choices`.

    A list is short for `{choices: [...]}`. A range between whole numbers has whole numbers only.

    >>> Dimension(low=1e-4, high=1e-2, log=True).high
    0.01
    """

    low: Number | None = Field(default=None, description="Lowest value.")
    high: Number | None = Field(default=None, description="Highest value.")
    log: bool = Field(default=False, description="Search the range on a log scale.")
    step: Number | None = Field(
        default=None, gt=0, description="Distance between the values of a range."
    )
    choices: tuple[Any, ...] = Field(default=(), description="Values to choose from.")

    @model_validator(mode="before")
    @classmethod
    def _list_of_choices(cls, plain: Any) -> Any:
        if isinstance(plain, list | tuple):
            return {"choices": tuple(plain)}
        if not isinstance(plain, dict | Dimension):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors only
                "expected a range such as {low: 0.0001, high: 0.01, log: true}, or a list of"
                f" values, got {plain!r}"
            )
        return plain

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("choices: excludes low, high, log and step; drop one or the other")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low: expected a number below high ({self.high}), got {self.low}")
        if self.log and self.low <= 0:
            raise ValueError(f"log: needs a low above 0, got {self.low}; drop log, or raise low")
        if self.log and self.step is not None:
            raise ValueError("log: excludes step; drop one of them")
        return self

    @property
    def whole(self) -> bool:
        """Whether a range has whole numbers only."""
        ends = (self.low, self.high, 1 if self.step is None else self.step)
        return all(isinstance(end, int) for end in ends)

    def ends(self) -> tuple[Any, ...]:
        """Return the values to check: both ends of a range, or all choices."""
        return self.choices or (self.low, self.high)


class Tune(FrozenModel):
    """Search space and budget of `crosstower tune`; `crosstower fit` does not read it.

    >>> tune = Tune(space={"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}})
    >>> tune.trials
    40
    """

    space: dict[str, Dimension] = Field(
        default={},
        description="Values by option, such as training.learning_rate (default: a space of the"
        " model and the job).",
    )
    trials: int = Field(default=40, ge=1, description="Number of trials.")
    prune_after: int | None = Field(
        default=3,
        ge=0,
        description="Evaluations after which a trial below the median of the earlier ones ends;"
        " null lets all trials run to their end.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the search.")
