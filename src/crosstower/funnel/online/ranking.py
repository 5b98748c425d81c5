"""Rank and blend the candidates of several requests together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crosstower.errors import CrosstowerError
from crosstower.funnel.online.answer import milliseconds_since
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.candidates import joined
from crosstower.funnel.online.catalogue import LiveCatalogue
from crosstower.funnel.online.one_request import OneRequest, each, fail
from crosstower.funnel.online.order import chosen, ordered
from crosstower.funnel.online.ranker import LiveRanker


class Ranking:
    """The stages after retrieval.

    Args:
        ranker: scores candidates.
        catalogue: has them encoded.
        blends: of requests.
        tasks: the first one orders where there is no blend.

    """

    def __init__(
        self, ranker: LiveRanker, catalogue: LiveCatalogue, blends: Blends, tasks: Sequence[str]
    ) -> None:
        self._ranker, self._catalogue = ranker, catalogue
        self._blends, self._tasks = blends, tasks

    def rank(self, requests: Sequence[OneRequest]) -> None:
        """Put the candidates that requests have found into their final order."""
        start = time.perf_counter()
        each(requests, self._ask)
        alike: dict[int, list[OneRequest]] = {}
        for request in requests:
            if request.error is None:
                alike.setdefault(id(request.blend), []).append(request)
        for group in alike.values():
            self._combine(group)
        spent, start = milliseconds_since(start), time.perf_counter()
        each(requests, self._order)
        blend = milliseconds_since(start)
        for request in requests:
            request.milliseconds |= {"rank": spent, "blend": blend}

    def _ask(self, request: OneRequest) -> None:
        """Ask the model about the candidates of a request."""
        request.blend = self._blends.of(request.asked.blend)
        query = self._ranker.query(request.raw)
        rows = self._catalogue.take(request.candidates.places)
        if not rows.good.all():
            kept = np.flatnonzero(rows.good)
            unread = len(rows) - len(kept)
            request.found = replace(chosen(request.candidates, kept), unread=unread)
            rows = rows.take(kept)
        request.found = replace(request.candidates, unseen=query.unseen)
        request.logits = self._ranker.logits(query, rows)
        request.arrays = self._ranker.arrays(query, rows)

    def _combine(self, group: Sequence[OneRequest]) -> None:
        """Calibrate and blend the predictions of requests with the same blend."""
        scorer = replace(self._ranker.scorer, blend=group[0].blend)
        logits = {
            task: np.concatenate([request.logits[task] for request in group])
            for task in group[0].logits
        }
        try:
            arrays = joined([request.arrays for request in group], scorer.types)
            scores = scorer.combine(logits, arrays)
        except CrosstowerError as error:
            if len(group) == 1:
                fail(group, error)
            else:  # find out whose
                for request in group:
                    self._combine([request])
            return
        ends = np.cumsum([len(request.candidates.places) for request in group]).tolist()
        for request, start, end in zip(group, [0, *ends], ends, strict=False):
            request.scores = scores.part(slice(start, end))

    def _order(self, request: OneRequest) -> None:
        if request.scores is not None:
            types = request.arrays.types
            request.found = ordered(
                request.candidates, request.scores, types, self._tasks, self._blends
            )
