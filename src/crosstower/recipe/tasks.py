"""Tasks: what a model learns to predict, and how the column of its labels is read."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel

HeadKind = Literal["binary", "regression", "rating"]
"""How a task is learnt: its loss, its metrics and the scale of its predictions."""


class _Task(FrozenModel):
    column: str | None = Field(
        default=None, description="Column of the labels; the task's name if unset."
    )
    weight: float = Field(default=1.0, gt=0, description="Weight of the task's loss in the sum.")
    loss: str | None = Field(
        default=None, min_length=1, description="Loss by name; that of the task's kind if unset."
    )


class Binary(_Task):
    """A yes or no: click, conversion, like. Predicted as a probability."""

    kind: Literal["binary"] = "binary"
    positive: bool | int | float | str | None = Field(
        default=None, description="The value that counts as 1; all others count as 0."
    )
    threshold: float | None = Field(
        default=None, description="Values of at least this count as 1, smaller ones as 0."
    )
    after: str | None = Field(
        default=None,
        description="Binary task that must have happened first. A label that is missing where it"
        " did not counts as 0, and labels that contradict it are reported.",
    )
    true_probability: str | None = Field(
        default=None,
        description="Column with the true probability (simulated data): gives the best AUC.",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.positive is not None and self.threshold is not None:
            raise ValueError("give positive or threshold, not both")
        return self

    @property
    def needs(self) -> str | None:
        """The binary task without whose event the label is 0."""
        return self.after


class Regression(_Task):
    """A number: watch time, price. Trained on the standardised, optionally logged label.

    With `when` the head learns the mean of the rows where that event happened; the prediction is
    the expectation over all rows, P(event) · E[y | event] + (1 - P(event)) · E[y | no event], the
    last of them the mean of the training rows. A label that is missing where the event did not
    happen counts as 0.
    """

    kind: Literal["regression"] = "regression"
    when: str | None = Field(
        default=None, description="Binary task: learn only from rows where it happened."
    )
    log1p: bool = Field(
        default=False, description="Train on log(1 + label); labels must not be negative."
    )
    clip: tuple[float, float] | None = Field(
        default=None, description="Labels outside [low, high] are moved to the nearer end."
    )

    @property
    def needs(self) -> str | None:
        """The binary task without whose event the label is 0."""
        return self.when

    @field_validator("clip")
    @classmethod
    def _ordered(cls, clip: tuple[float, float] | None) -> tuple[float, float] | None:
        if clip is not None and clip[0] >= clip[1]:
            raise ValueError(f"clip must be [low, high] with low < high, got {list(clip)}")
        return clip


class Rating(_Task):
    """A rating on a bounded scale; predictions stay inside it."""

    kind: Literal["rating"] = "rating"
    low: float = 1.0
    high: float = 5.0

    @property
    def needs(self) -> str | None:
        """No task: a rating stands by itself."""
        return None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low={self.low} and high={self.high}")
        return self


Task = Annotated[Binary | Regression | Rating, Field(discriminator="kind")]
