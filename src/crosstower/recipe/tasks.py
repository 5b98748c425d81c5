"""Tasks: targets of a model, and how their labels are read."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.named_loss import NamedLoss, name_of, named, options_of
from crosstower.recipe.renamed import warn_renamed

HeadKind = Literal["binary", "regression", "rating"]
"""Kind of a task: decides its loss, its metrics and the scale of its predictions."""
_LABELS: dict[Any, int] = {0: 0, 1: 1, "0": 0, "1": 1}


class _Task(FrozenModel):
    column: str | None = Field(
        default=None, description="Label column (default: the name of the task)."
    )
    weight: float = Field(default=1.0, gt=0, description="Weight of the task's loss in the sum.")
    loss: str | NamedLoss | None = Field(
        default=None,
        description="Loss by name, or {name: ..., OPTION: ...}; that of the task's kind if unset.",
    )
    sample_weight: str | None = Field(
        default=None,
        min_length=1,
        description="Column of the rows' weights in the task's loss: numbers of at least 0.",
    )

    @field_validator("loss", mode="before")
    @classmethod
    def _loss_has_a_name(cls, loss: Any) -> Any:
        return None if loss is None else named(loss)

    @property
    def loss_name(self) -> str | None:
        """Name of the loss; None for that of the task's kind."""
        return None if self.loss is None else name_of(self.loss)

    @property
    def loss_options(self) -> dict[str, Any]:
        """Options of the loss."""
        return options_of(self.loss)


class Binary(_Task):
    """A binary event such as a click, predicted as a probability.

    >>> Binary(column="stars", threshold=4).kind
    'binary'
    """

    kind: Literal["binary"] = "binary"
    positive: bool | int | float | str | None = Field(
        default=None, description="Value that counts as 1; all others count as 0."
    )
    threshold: float | None = Field(
        default=None, description="Smallest value that counts as 1; smaller values count as 0."
    )
    after: str | None = Field(
        default=None,
        description="Binary task whose event must happen first. Where it did not, a missing label"
        " counts as 0, and contradicting labels are reported.",
    )
    true_probability: str | None = Field(
        default=None,
        description="Column of the true probability (synthetic data), for the best possible AUC.",
    )
    class_weight: Literal["balanced"] | dict[int, float] | None = Field(
        default=None,
        description="Weights in the loss of rows by label, {0: W, 1: W}, or balanced: the inverse"
        " of the labels' shares. Predictions are corrected for them.",
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of a label that is moved to the middle: y becomes y (1 - s) + s / 2.",
    )

    @model_validator(mode="before")
    @classmethod
    def _former_weight(cls, plain: Any) -> Any:
        if not isinstance(plain, dict) or "positive_weight" not in plain:
            return plain
        rest = {key: value for key, value in plain.items() if key != "positive_weight"}
        if rest.get("class_weight") is not None:
            raise ValueError("positive_weight is an old name of class_weight; remove it")
        weight = plain["positive_weight"]
        warn_renamed(f"positive_weight: {weight}", f"class_weight: {{1: {weight}}}")
        return {**rest, "class_weight": {1: weight}}

    @field_validator("class_weight", mode="before")
    @classmethod
    def _weights_of_both_classes(cls, given: Any) -> Any:
        if given is None or given == "balanced":
            return given
        example = "{0: 1, 1: 20}"
        if not isinstance(given, dict) or not given or not set(given) <= set(_LABELS):
            raise ValueError(f"expected balanced, or weights such as {example}, got {given!r}")
        weights = {_LABELS[label]: weight for label, weight in given.items()}
        if not all(isinstance(w, (int, float)) and 0.0 < w < math.inf for w in weights.values()):
            raise ValueError(f"expected finite weights above 0, such as {example}, got {given!r}")
        return {0: 1.0, 1: 1.0} | weights

    def __hash__(self) -> int:
        """Return a hash; one of the fields may be a dict, which has none."""
        return hash(self.model_dump_json())

    def class_weights(self, share: float | None) -> tuple[float, float]:
        """Return the weights of the labels 0 and 1.

        `balanced` is that of scikit-learn, n / (2 · n_c) for the n_c of n rows with the label c.

        >>> Binary(class_weight="balanced").class_weights(0.1)
        (0.5555555555555556, 5.0)

        Args:
            share: of the label 1 among the training rows, which `balanced` needs. Both weights are
                1 if it is None, 0 or 1.

        """
        if isinstance(self.class_weight, dict):
            return self.class_weight[0], self.class_weight[1]
        if self.class_weight is None or share is None or share in (0.0, 1.0):
            return 1.0, 1.0
        return 0.5 / (1.0 - share), 0.5 / share

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.positive is not None and self.threshold is not None:
            raise ValueError("give positive or threshold, not both")
        return self

    @property
    def needs(self) -> str | None:
        """Binary task without whose event the label is 0."""
        return self.after


class Regression(_Task):
    """A number such as a watch time, learned on the standardised or log1p-transformed label.

    With `when`, the head learns from rows with that event only. The prediction is the expectation
    over all rows, P(event) · E[y | event] + (1 - P(event)) · E[y | no event], where the last term
    is the mean of the training rows. Without the event, a missing label counts as 0.

    >>> Regression(when="click", log1p=True).needs
    'click'
    """

    kind: Literal["regression"] = "regression"
    when: str | None = Field(
        default=None, description="Binary task; only rows with its event are used."
    )
    log1p: bool = Field(
        default=False, description="Train on log(1 + label); negative labels are not allowed."
    )
    clip: tuple[float, float] | None = Field(
        default=None, description="Limits [low, high] to which labels are clipped."
    )

    @property
    def needs(self) -> str | None:
        """Binary task without whose event the label is 0."""
        return self.when

    @field_validator("clip")
    @classmethod
    def _ordered(cls, clip: tuple[float, float] | None) -> tuple[float, float] | None:
        if clip is not None and clip[0] >= clip[1]:
            raise ValueError(f"expected [low, high] with low < high, got {list(clip)}")
        return clip


class Rating(_Task):
    """A rating on a bounded scale; predictions stay inside it.

    >>> Rating(low=0, high=10).high
    10.0
    """

    kind: Literal["rating"] = "rating"
    low: float = Field(default=1.0, description="Lowest rating.")
    high: float = Field(default=5.0, description="Highest rating.")

    @property
    def needs(self) -> str | None:
        """None: a rating depends on no other task."""
        return None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low: must be below high, got low={self.low} and high={self.high}")
        return self


Task = Annotated[Binary | Regression | Rating, Field(discriminator="kind")]
