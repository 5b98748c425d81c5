"""Utility of an order: the value of one event per task, read from a small YAML file.

values: {like: 1, comment: 3}
user: user_id
relative_to: content_type
constraints:
  - {column: content_type, value: video, min_share: 0.3}
  - {task: like, min_ndcg: 0.9}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field, field_validator, model_validator

from crosstower.blending.columns import amounts_of, numbers_of, refuse, types_of
from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.arguments import place_argument
from crosstower.recipe.blend import Transform
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.tasks import HeadKind
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_mapping
from crosstower.values.addresses.address import Place
from crosstower.values.arrays import Floats

_SHARES = ("min_share", "max_share")


class Constraint(FrozenModel):
    """A constraint on an order: a share of a content type in the first k, or a task's NDCG@k.

    The share is that of rows with `value` in `column` among a user's first k positions, averaged
    over users.
    """

    # A content type may be a number; YAML would give it as one.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    column: str | None = Field(default=None, description="Column of the content type.")
    value: str | None = Field(default=None, description="Content type whose share is limited.")
    min_share: float | None = Field(default=None, ge=0, le=1, description="Minimum share.")
    max_share: float | None = Field(default=None, ge=0, le=1, description="Maximum share.")
    task: str | None = Field(default=None, description="Task whose NDCG@k is limited.")
    min_ndcg: float | None = Field(default=None, ge=0, le=1, description="Minimum NDCG@k.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = {name for name, value in self if value is not None}
        share, ndcg = {"column", "value"}, {"task", "min_ndcg"}
        if given != ndcg and not (given - set(_SHARES) == share and len(given) == 3):
            raise ValueError(
                "expected {column, value, min_share or max_share} or {task, min_ndcg},"
                f" got {', '.join(sorted(given)) or 'nothing'}"
            )
        return self

    @property
    def bound(self) -> float:
        """The share or NDCG required."""
        bounds = (self.min_share, self.max_share, self.min_ndcg)
        return next(bound for bound in bounds if bound is not None)

    @property
    def words(self) -> str:
        """The constraint as text.

        >>> Constraint(column="content_type", value="video", min_share=0.3).words
        "share of content_type 'video' at least 0.3"
        """
        if self.task is not None:
            return f"NDCG of task '{self.task}' at least {self.min_ndcg:g}"
        side = "at most" if self.min_share is None else "at least"
        return f"share of {self.column} '{self.value}' {side} {self.bound:g}"


class Utility(FrozenModel):
    """Utility of an order, and the budget of the search for it.

    The value of a row is Σ_t value_t·label_t (times an amount). The utility of an order is the mean
    over users of NDCG@k, or of the total value of the first k rows.

    >>> Utility(values={"like": 1, "comment": 3}, user="user_id").metric
    'ndcg'
    """

    values: dict[str, float] = Field(
        min_length=1,
        description="Value of one event per task; of one unit for a regression or rating.",
    )
    user: str = Field(
        description="Column that defines one list per value: user, session or request."
    )
    k: int = Field(default=10, ge=1, description="Length of the lists that are measured.")
    metric: Literal["ndcg", "total"] = Field(
        default="ndcg", description="NDCG@k, or the total value of the first k rows."
    )
    amount: str | None = Field(
        default=None, description="Column of amounts by which values are multiplied."
    )
    relative_to: str | None = Field(
        default=None,
        description="Column of the content type; labels are divided by their mean per type.",
    )
    constraints: tuple[Constraint, ...] = Field(
        default=(), description="Constraints that a tuned blend must meet."
    )
    trials: int = Field(
        default=100, ge=1, description="Number of blends to try; initial ones are always tried."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the search.")
    transforms: tuple[Transform, ...] = Field(
        default=("identity", "probit", "percentile"),
        min_length=1,
        description="Transforms to search.",
    )
    by: tuple[str | None, ...] = Field(
        default=(None,),
        min_length=1,
        description="Columns to fit transforms per value of; null for none.",
    )

    @field_validator("values")
    @classmethod
    def _usable(cls, values: dict[str, float]) -> dict[str, float]:
        for task, value in values.items():
            if value < 0.0:
                raise ValueError(f"task '{task}': expected a number of 0 or more, got {value}")
        if not any(values.values()):
            raise ValueError(
                "at least one value must be above 0, as all orders are equally good otherwise"
            )
        return values

    @field_validator("transforms", "by")
    @classmethod
    def _once(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(choices)) < len(choices):
            raise ValueError(f"expected each choice once, got {list(choices)}")
        return choices


def load_utility(path: str | Place) -> Utility:
    """Read a utility file.

    Raises:
        RecipeError: the file is missing, is not YAML, or a key is wrong.

    """
    place = place_argument("utility", path, error=RecipeError, expected="the path of a YAML file")
    plain = read_mapping(
        place,
        missing="no such utility file; it holds keys such as values and user",
        named="the utility is",
        empty="the utility must hold keys such as values and user; it has none",
    )
    return validate(Utility, plain)


def check_utility(utility: Utility, kinds: Mapping[str, HeadKind]) -> None:
    """Reject a utility that does not fit the tasks of a model.

    Raises:
        RecipeError: a value or constraint names an unknown task.

    """
    places = [("values", task) for task in utility.values]
    places += [("constraints", c.task) for c in utility.constraints if c.task is not None]
    for place, task in places:
        if task not in kinds:
            raise RecipeError(
                f"{place}: no task '{task}'{did_you_mean(task, list(kinds))};"
                f" tasks: {', '.join(kinds)}"
            )


def gain(
    utility: Utility,
    frame: pl.DataFrame,
    kinds: Mapping[str, HeadKind],
    *,
    truth: Mapping[str, str] | None = None,
) -> Floats:
    """Return the value of each row `[rows]`; NaN if a label that counts is missing.

    The value is Σ_t value_t·label_t, times the amount. With `relative_to` a label is divided by its
    mean over the rows of the same type, so that 1 is the average of a type; a type without any
    event has 0.

    Args:
        utility: values, amount and `relative_to`.
        frame: rows with a column of labels for each task with a value.
        kinds: of the model's tasks.
        truth: `{task: column}` to use instead of labels, such as true probabilities.

    Raises:
        RecipeError: a value names an unknown task.
        DataError: a column is missing, a label is negative or infinite, or an amount is unusable.

    """
    check_utility(utility, kinds)
    total = np.zeros(frame.height)
    for task, value in utility.values.items():
        if value > 0.0:
            total += value * _label(utility, frame, (truth or {}).get(task, task))
    return total if utility.amount is None else total * amounts_of(frame, utility.amount)


def _label(utility: Utility, frame: pl.DataFrame, column: str) -> Floats:
    label = numbers_of(frame, column)
    refuse(
        (label < 0.0) | np.isinf(label),
        label,
        f"column '{column}': a utility needs labels of 0 or more",
    )
    if utility.relative_to is None:
        return label
    table = pl.DataFrame({"label": label, "type": types_of(frame, utility.relative_to)})
    usual = pl.col("label").fill_nan(None).mean().over("type")
    shares = table.select(
        pl.when(usual == 0.0).then(0.0 * pl.col("label")).otherwise(pl.col("label") / usual)
    )
    return shares.to_series().fill_null(math.nan).to_numpy()
