"""A live bundle: retrieve, rank, blend, for one request at a time; items come and go."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.bundle.bundle import Bundle
from crosstower.data.sides import section_of
from crosstower.errors import QueryError
from crosstower.live.answer import Asked, Ranked, milliseconds_since
from crosstower.live.blends import Blends
from crosstower.live.catalogue import LiveCatalogue
from crosstower.live.order import chosen, ordered
from crosstower.live.ranker import LiveRanker
from crosstower.retriever.files import HAD, USER

Places = NDArray[np.int64]
Floats = NDArray[np.float32]
_NOBODY = np.empty(0, np.int64)


class LiveFunnel:
    """Answers for a bundle that retrieves, or retrieves and ranks; not safe for several threads."""

    def __init__(self, bundle: Bundle, blends: Blends) -> None:
        self.bundle, self.blends = bundle, blends
        self.retriever = bundle.retriever()
        self.funnel = bundle.funnel() if bundle.ranking is not None else None
        self.ranker, self.form = None, "eager"
        if self.funnel is not None:
            scorer, self.form = bundle.fastest(self.funnel.scorer)
            rows, ranking = self.funnel.rows, self.funnel.ranking
            self.ranker = LiveRanker(rows, ranking, scorer, more=blends.by)
        self.catalogue = LiveCatalogue(self.retriever, self.ranker)

    @property
    def tasks(self) -> list[str]:
        """The ranker's tasks, the first of which orders where there is no blend."""
        return [] if self.funnel is None else list(self.funnel.ranking.recipe.schema_.tasks)

    @property
    def query_columns(self) -> list[str]:
        """The columns that a query may have."""
        if self.funnel is not None:
            rows = self.funnel.rows
            names = dict.fromkeys([*rows.asked, *rows.from_query])
            return [n for n in names if n != rows.user or n in rows.asked]
        return self.retriever.query_columns

    @property
    def needed_columns(self) -> list[str]:
        """The columns that a query must have."""
        if self.funnel is None:
            return []
        return [n for n in self.funnel.rows.from_query if n not in self.funnel.rows.known]

    def recommend(self, asked: Asked) -> Ranked:
        """Return the candidates of a request in order.

        Popular items stand for the retrieved ones where nothing is known of who asks: no user, or
        one that the bundle does not know, and no query.

        Raises:
            QueryError: k, the query, the condition or the blend is wrong.

        """
        begin = time.perf_counter()
        self.retriever.check_user(asked.user)
        size = self._candidates(asked)
        known = self._known(asked.user)
        if self.funnel is not None:
            self.funnel.rows.check_given(asked.query)
        excluded = _NOBODY
        if asked.exclude:
            excluded = self.catalogue.items.places_of(asked.exclude)
        fallback = None
        if not asked.query and (known is None or not known.height):
            fallback = "popular"
            places, scores = self.catalogue.popular(size, where=asked.where, excluded=excluded)
        else:
            vector, had = self.retriever.query(asked.user, self._asked_of(asked.query), known=known)
            if section_of(self.retriever.run.recipe).exclude_seen and len(had):
                excluded = np.concatenate([excluded, had])
            places, scores = self.catalogue.items.nearest(
                vector, size, where=asked.where, excluded=excluded
            )
        spent = {"retrieve": milliseconds_since(begin)}
        found = Ranked(
            places=places,
            score=scores.astype(np.float64),
            retrieval_rank=np.arange(1, len(places) + 1),
            retrieval_score=scores.astype(np.float64),
            retrieved=len(places),
            milliseconds=spent,
            fallback=fallback,
        )
        return self._ranked(found, asked, known, begin)

    def rank(self, asked: Asked, items: Sequence[str | int]) -> Ranked:
        """Return given items in the order of the ranker; ids that are no items are told.

        Raises:
            QueryError: the bundle has no ranker, or the query or the blend is wrong.

        """
        begin = time.perf_counter()
        if self.funnel is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        self.funnel.rows.check_given(asked.query)
        places = self.catalogue.items.places_of(items)
        unknown = tuple(i for i, place in zip(items, places, strict=True) if place < 0)
        places = places[places >= 0]
        found = Ranked(places=places, score=np.zeros(len(places)), unknown=unknown)
        return self._ranked(found, asked, self._known(asked.user), begin)

    def search(
        self, text: str, *, k: int, where: str | None = None, query: Mapping[str, Any] | None = None
    ) -> Ranked:
        """Return the items nearest to a text.

        Raises:
            QueryError: the recipe's queries have no text column, or several, or `where` is wrong.

        """
        begin = time.perf_counter()
        given = self.retriever.text_query(text, query)
        vector, _ = self.retriever.query(None, given)
        return self._found(self.catalogue.items.nearest(vector, k, where=where), begin)

    def similar(self, item: str | int, *, k: int, where: str | None = None) -> Ranked:
        """Return the items whose vectors point most nearly in an item's direction (cosine).

        Raises:
            QueryError: there is no such item, or `where` is wrong.

        """
        begin = time.perf_counter()
        place = int(self.catalogue.items.places_of([item])[0])
        if place < 0:
            raise QueryError(f"no item {item!r} among {len(self.catalogue.items):,}")
        return self._found(self.catalogue.items.similar(place, k, where=where), begin)

    def _found(self, found: tuple[Places, Floats], begin: float) -> Ranked:
        places, scores = found
        return Ranked(
            places=places,
            score=scores.astype(np.float64),
            retrieved=len(places),
            milliseconds={
                "retrieve": milliseconds_since(begin),
                "total": milliseconds_since(begin),
            },
        )

    def _ranked(
        self, found: Ranked, asked: Asked, known: pl.DataFrame | None, begin: float
    ) -> Ranked:
        """Return the candidates with the scores of the ranker, in the final order."""
        if self.ranker is None or self.catalogue.rows is None:
            return replace(
                found, milliseconds={**found.milliseconds, "total": milliseconds_since(begin)}
            )
        start = time.perf_counter()
        blend = self.blends.of(asked.blend)
        query = self.ranker.query(self._row(asked, known))
        rows = self.catalogue.take(found.places)
        if not rows.good.all():
            kept = np.flatnonzero(rows.good)
            found = replace(chosen(found, kept), unread=len(rows) - len(kept))
            rows = rows.take(kept)
        scorer = replace(self.ranker.scorer, blend=blend)
        scored = self.ranker.score(query, rows, scorer)
        spent = {**found.milliseconds, "rank": milliseconds_since(start)}
        found = replace(found, milliseconds=spent, unseen=query.unseen)
        return ordered(found, scored, self.tasks, self.blends, begin=begin)

    def _candidates(self, asked: Asked) -> int:
        size = self.bundle.manifest.candidates if asked.candidates is None else asked.candidates
        if self.funnel is None:
            size = max(asked.k, asked.candidates or 0)
        if asked.k < 1 or size < 1:
            raise QueryError(f"k: expected at least 1, got {min(asked.k, size)}")
        if asked.k > size:
            raise QueryError(
                f"k: expected 1 to {size:,}, the number of candidates, got {asked.k:,}; ask for"
                " more candidates"
            )
        return size

    def _known(self, user: str | int | None) -> pl.DataFrame | None:
        if user is None or section_of(self.retriever.run.recipe).user is None:
            return None
        return self.retriever.known(user)

    def _asked_of(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a query the retrieval model reads."""
        if self.funnel is None:
            return dict(query)
        return {n: v for n, v in query.items() if n in self.funnel.rows.asked}

    def _row(self, asked: Asked, known: pl.DataFrame | None) -> dict[str, Any]:
        """Return the raw columns of a query for the ranker."""
        rows = self.funnel.rows  # type: ignore[union-attr]
        row: dict[str, Any] = dict.fromkeys(rows.known)
        if asked.user is not None and rows.user is not None:
            row[rows.user] = asked.user
            if known is not None and known.height:
                row |= {c.name: c[0] for c in known if c.name not in (USER, HAD)}
                row[rows.user] = known[USER][0]
        return row | dict(asked.query)
