"""Rules, blends and explorations of a request, as plain dictionaries.

What each does is in the documentation of rules and of exploration; the server checks the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required

from typing_extensions import TypedDict

Transform = Literal["identity", "logit", "probit", "percentile", "standardise"]
Id = int | str


class BlendOverride(TypedDict, total=False):
    """A blend for one request; omitted parts keep the bundle's values.

    Args:
        weights: weight by task.
        transform: of all tasks, or by task.
        by: content type column; None for one map.

    """

    weights: Mapping[str, float] | None
    transform: Transform | Mapping[str, Transform] | None
    by: str | None


class PlackettLuce(TypedDict, total=False):
    """A draw in proportion to the softmax of scores.

    Args:
        kind: "plackett_luce".
        temperature: of the softmax, above 0.
        top: number of candidates that take part.
        seed: of the draw.

    """

    kind: Required[Literal["plackett_luce"]]
    temperature: Required[float]
    top: int
    seed: int | None


class Epsilon(TypedDict, total=False):
    """A draw of the best candidate left, or with a small chance of any.

    Args:
        kind: "epsilon".
        epsilon: chance per place, at most 1.
        top: number of candidates that take part.
        seed: of the draw.

    """

    kind: Required[Literal["epsilon"]]
    epsilon: Required[float]
    top: int
    seed: int | None


class Thompson(TypedDict, total=False):
    """A draw from the posterior of each score.

    Args:
        kind: "thompson".
        prior_sd: standard deviation of the scores.
        noise_sd: standard deviation of an observation.
        top: number of candidates that take part.
        seed: of the draw.

    """

    kind: Required[Literal["thompson"]]
    prior_sd: Required[float]
    noise_sd: Required[float]
    top: int
    seed: int | None


class Boost(TypedDict, total=False):
    """Raises the scores of items.

    Args:
        where: condition on the attributes of items.
        multiply: factor, at least 1.
        add: amount, in units of the score.

    """

    where: Required[str]
    multiply: float | None
    add: float | None


class Bury(TypedDict, total=False):
    """Lowers the scores of items.

    Args:
        where: condition on the attributes of items.
        divide: divisor, at least 1.
        subtract: amount, in units of the score.

    """

    where: Required[str]
    divide: float | None
    subtract: float | None


class Freshness(TypedDict):
    """Decay of scores with the age of items.

    Args:
        column: of times.
        half_life: seconds, or a text such as 7d.

    """

    column: str
    half_life: float | str


class Mmr(TypedDict, total=False):
    """Maximal marginal relevance.

    Args:
        relevance: weight of relevance; 1 keeps the order.
        similar_by: columns that define similarity instead of vectors.

    """

    relevance: float
    similar_by: Sequence[str]


class Dpp(TypedDict, total=False):
    """Determinantal point process.

    Args:
        relevance: weight of relevance; near 1 keeps the order.

    """

    relevance: float


class Spacing(TypedDict, total=False):
    """A soft distance between equal values.

    Args:
        column: whose equal values are kept apart.
        strength: penalty of the next place.
        half_distance: places that halve the penalty.

    """

    column: Required[str]
    strength: float
    half_distance: float


class MaxPer(TypedDict, total=False):
    """A limit of items per value.

    Args:
        column: whose values are limited.
        most: items per value.
        within: in any so many places in a row; None for all.

    """

    column: Required[str]
    most: Required[int]
    within: int | None


class Floor(TypedDict):
    """A minimum of a number.

    Args:
        column: of numbers.
        at_least: the minimum.

    """

    column: str
    at_least: float


class Pacing(TypedDict, total=False):
    """Spreads budgets over a period.

    Args:
        budget: of each campaign per period: a number, or a column of items.
        period: seconds, or a text such as 1d.
        campaign: column of the campaign.
        cost: column of the cost of an item that is shown.

    """

    budget: Required[float | str]
    period: float | str
    campaign: str | None
    cost: str | None


class Slots(TypedDict, total=False):
    """Reserved places.

    Args:
        where: condition of the items for these places.
        every: distance between two reserved places.
        first: reserved place.
        elsewhere: whether these items may also be shown at other places.
        floor: minimum that an item must reach.
        pacing: budgets of campaigns.

    """

    where: Required[str]
    every: Required[int]
    first: int | None
    elsewhere: bool
    floor: Floor | None
    pacing: Pacing | None


class Pin(TypedDict):
    """An item at a fixed position.

    Args:
        item: its id.
        at: position, from 1.

    """

    item: Id
    at: int


class RequestRules(TypedDict, total=False):
    """Rules of one request, which add to those of the bundle.

    Args:
        require: conditions that every item must fulfil.
        exclude: conditions that no item may fulfil.
        boost: raised scores.
        bury: lowered scores.
        freshness: decay of scores with age.
        dedup_by: columns; only the best item per value is kept.
        mmr: maximal marginal relevance.
        dpp: determinantal point process.
        spacing: soft distances between equal values.
        max_per: limits per value.
        slots: reserved places.
        pin: items at fixed positions.
        replace: ignore the rules of the bundle.

    """

    require: Sequence[str]
    exclude: Sequence[str]
    boost: Sequence[Boost]
    bury: Sequence[Bury]
    freshness: Freshness | None
    dedup_by: Sequence[str]
    mmr: Mmr | None
    dpp: Dpp | None
    spacing: Sequence[Spacing]
    max_per: Sequence[MaxPer]
    slots: Sequence[Slots]
    pin: Sequence[Pin]
    replace: bool
