"""Questions to a live bundle, and what it answers. Shapes: C candidates, T tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.data.content_types import ContentTypes
from crosstower.funnel.online.blends import Override
from crosstower.values.arrays import Indices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FunnelRequest:
    """One request for a list.

    Args:
        user: an id; None asks for nobody in particular.
        query: columns of the query.
        k: how many items.
        where: a condition on the attributes of items.
        exclude: ids of items to leave out; unknown ones are ignored.
        candidates: how many items the ranker gets; as the bundle says if None.
        blend: another blend for this request.

    """

    user: str | int | None = None
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    k: int = 10
    where: str | None = None
    exclude: tuple[str | int, ...] = ()
    candidates: int | None = None
    blend: Override | None = None


@dataclass(frozen=True)
class Ranked:
    """Candidates in their final order.

    `places` `[C]` in the catalogue; `retrieval_rank` and `retrieval_score` `[C]`, None for
    candidates that were given; `predictions` {task: `[C]`}, empty in a bundle that only retrieves;
    `blend_score` `[C]` if there is a blend; `ranked`, `blended` `[C]` are the ranks after those
    stages, from 1; `types` the content type of each. `milliseconds` by stage, of all requests that
    were answered together; `unseen` of each query column whether its value was never seen in
    training; `fallback` says why popular items stand for the retrieved ones; `unknown` are given
    ids that are no items, `notices` what the asker should know, `unread` counts candidates that the
    ranker cannot read. Where whole rows were given (`rows_given`), places are their numbers.
    """

    places: Indices
    score: Floats
    retrieval_rank: Indices | None = None
    retrieval_score: Floats | None = None
    predictions: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    blend_score: Floats | None = None
    ranked: Indices | None = None
    blended: Indices | None = None
    types: ContentTypes | None = None
    retrieved: int = 0
    milliseconds: Mapping[str, float] = field(default_factory=dict[str, float])
    unseen: Mapping[str, bool] = field(default_factory=dict[str, bool])
    fallback: str | None = None
    unknown: tuple[str | int, ...] = ()
    unread: int = 0
    notices: tuple[str, ...] = ()
    rows_given: bool = False


def milliseconds_since(start: float) -> float:
    """Return the time since `start` on the clock of time.perf_counter, to the microsecond."""
    return round(1e3 * (time.perf_counter() - start), 3)
