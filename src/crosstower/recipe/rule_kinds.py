"""The rules of a list, one class per kind. No torch."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictInt, StrictStr, model_validator

from crosstower.recipe.frozen import FrozenModel
from crosstower.values.durations import Duration

Condition = Annotated[str, Field(min_length=1, max_length=2_000)]
Name = Annotated[str, Field(min_length=1, max_length=512)]


class Boost(FrozenModel):
    """Raises the scores of the items that fulfil a condition.

    >>> Boost(where="genre == 'news'", multiply=1.5).multiply
    1.5
    """

    where: Condition = Field(description="Condition on the attributes of items.")
    multiply: float | None = Field(
        default=None, ge=1, le=1e6, description="Factor; a negative score is divided by it instead."
    )
    add: float | None = Field(
        default=None, ge=0, le=1e9, description="Amount, in units of the score."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        _one_of(multiply=self.multiply, add=self.add)
        return self


class Bury(FrozenModel):
    """Lowers the scores of the items that fulfil a condition.

    >>> Bury(where="price > 500", divide=2).divide
    2.0
    """

    where: Condition = Field(description="Condition on the attributes of items.")
    divide: float | None = Field(
        default=None,
        ge=1,
        le=1e6,
        description="Divisor; a negative score is multiplied by it instead.",
    )
    subtract: float | None = Field(
        default=None, ge=0, le=1e9, description="Amount, in units of the score."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        _one_of(divide=self.divide, subtract=self.subtract)
        return self


class Freshness(FrozenModel):
    """Halves the scores of items for each half-life of their age; a negative score doubles.

    An item without a time counts as the oldest of the list, one from the future as new.

    >>> Freshness(column="published", half_life="7d").half_life
    604800.0
    """

    column: Name = Field(description="Column of times: dates, ISO 8601 text, or epoch seconds.")
    half_life: Duration = Field(description="Age that halves a score, such as 12h or 7d.")


class Mmr(FrozenModel):
    """Re-ranks by maximal marginal relevance (Carbonell & Goldstein 1998, eq. 2).

    Similarity is the cosine of the retriever's item vectors, or the share of the columns
    `similar_by` in which two items are equal.
    """

    relevance: float = Field(
        default=0.7, ge=0, le=1, description="Weight of relevance (λ); 1 keeps the order."
    )
    similar_by: tuple[Name, ...] = Field(
        default=(), max_length=16, description="Columns that define similarity instead of vectors."
    )


class Dpp(FrozenModel):
    """Re-ranks by a determinantal point process, greedily (Chen, Zhang & Zhou 2018).

    The kernel is q_i·s_ij·q_j, with q = exp(θ·relevance / (2·(1-θ))) and s the cosine of the
    retriever's item vectors, scaled to [0, 1].
    """

    relevance: float = Field(
        default=0.7, ge=0, lt=1, description="Weight of relevance (θ); near 1 keeps the order."
    )


class Spacing(FrozenModel):
    """Penalises items near others with the same value of a column.

    Each item above with the same value costs `strength`·2^(-(d-1)/half_distance) of the relevance,
    which is the score scaled to [0, 1]; d is the distance in places.
    """

    column: Name = Field(description="Column whose equal values are kept apart.")
    strength: float = Field(
        default=0.3, gt=0, le=100, description="Penalty of the next place; 1 is the whole range."
    )
    half_distance: float = Field(
        default=2, gt=0, le=1e6, description="Distance in places that halves the penalty."
    )


class MaxPer(FrozenModel):
    """Limits the items per value of a column; an item without a value is not limited.

    >>> MaxPer(column="seller", most=2, within=10).within
    10
    """

    column: Name = Field(description="Column whose values are limited.")
    most: int = Field(ge=1, description="Maximum items per value.")
    within: int | None = Field(
        default=None, ge=2, description="In any so many places in a row; all of them if unset."
    )


class Floor(FrozenModel):
    """A minimum of a number column, such as the floor price of an ad."""

    column: Name = Field(description="Column of numbers.")
    at_least: float = Field(description="Minimum; an item without a number is below it.")


class Pacing(FrozenModel):
    """Spreads the budget of each campaign evenly over a period, with a PI controller.

    >>> Pacing(budget=100, period="1d", campaign="campaign_id", cost="bid").period
    86400.0
    """

    budget: Annotated[float, Field(gt=0)] | Name = Field(
        description="Budget of each campaign per period: a number, or a column of items."
    )
    period: Duration = Field(default=86_400.0, description="Period of a budget, such as 1d.")
    campaign: Name | None = Field(
        default=None, description="Column of the campaign; one campaign per slot rule if unset."
    )
    cost: Name | None = Field(
        default=None, description="Column of the cost of an item that is shown; 1 each if unset."
    )


class Slots(FrozenModel):
    """Reserves places for items that fulfil a condition, such as every fifth place for an ad.

    >>> list(Slots(where="sponsored == true", every=5).places(12))
    [5, 10]
    """

    where: Condition = Field(description="Condition of the items for these places.")
    every: int = Field(ge=1, description="Distance between two reserved places.")
    first: int | None = Field(
        default=None, ge=1, le=1e6, description="First reserved place; `every` if unset."
    )
    elsewhere: bool = Field(
        default=True, description="Whether these items may also be shown at other places."
    )
    floor: Floor | None = Field(default=None, description="Minimum that an item must reach.")
    pacing: Pacing | None = Field(default=None, description="Budgets of campaigns.")

    def places(self, count: int) -> range:
        """Return the reserved places of a list of `count` items, from 1."""
        return range(self.first or self.every, count + 1, self.every)


class Pin(FrozenModel):
    """Shows an item at a position.

    >>> Pin(item=17, at=1).at
    1
    """

    item: StrictInt | Annotated[StrictStr, Field(max_length=512)] = Field(
        description="Id of the item."
    )
    at: int = Field(ge=1, description="Position, from 1.")


def _one_of(**given: float | None) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(f"expected either {' or '.join(given)}; set one of them")
