"""Exploration of a request in the funnel: after the blend, before diversity and rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from crosstower.blending.exploration.explore import Exploration, explore
from crosstower.funnel.online.request import Draw, FunnelRequest, Ranked
from crosstower.values.arrays import Indices

DrawOrder = Callable[[Ranked, Indices], tuple[Ranked, Indices]]
"""Takes candidates and their ranks `[C]` by score; returns them with their draw, and its ranks."""


class Explorer:
    """Draws the order of candidates; one per worker, so that workers draw independently.

    Args:
        training_rows: returns the number of training rows of the items at places `[n]`.

    """

    def __init__(self, training_rows: Callable[[Indices], Indices]) -> None:
        self._training_rows, self._random = training_rows, np.random.default_rng()

    def of(self, request: FunnelRequest) -> DrawOrder | None:
        """Return the object that draws the order of a request; None without exploration."""
        return None if request.explore is None else partial(self._draw, request.explore)

    def _draw(self, kind: Exploration, found: Ranked, ranks: Indices) -> tuple[Ranked, Indices]:
        best = np.argsort(ranks)
        places = found.places[best]
        rows = self._training_rows(places)
        drawn = explore(kind, found.score[best], rows, self._random)
        new = np.empty_like(ranks)
        new[best[drawn.order]] = np.arange(1, len(ranks) + 1)
        return replace(found, draw=Draw(drawn, places[: len(drawn.pool)], new)), new
