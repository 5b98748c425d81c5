"""A retrieval run and a ranking run that answer as one: retrieve, rank, blend, make diverse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from crosstower.data.sources.frames import series_of
from crosstower.errors import QueryError, RunError
from crosstower.funnel.request import QueryScorer, cleaner_of
from crosstower.funnel.rows import RowMaker
from crosstower.funnel.stages import stage_ranks
from crosstower.funnel.unreadable import unreadable_error
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION, RAW, Scorer
from crosstower.recipe.arguments import count_of
from crosstower.recipe.blend import Diversity
from crosstower.recipe.own_columns import ROW, attribute_names, raw_name
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.files import SEEN_ITEMS, USER
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.ids import given_id

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Funnel:
    """An open funnel: `candidates` items are retrieved for each query, and the ranker orders them.

    The order is by the ranker's blend, or by the prediction of its first task (the higher, the
    better) if it has none; the diversity of the blend re-orders the first places.
    """

    retriever: Retriever
    ranking: Run
    scorer: Scorer
    candidates: int

    @staticmethod
    def open(
        retrieval: Run | str | Path,
        ranking: Run | str | Path,
        *,
        candidates: int = 200,
        seed: int | None = None,
    ) -> Funnel:
        """Open two runs, each with its main model.

        Args:
            retrieval: a run that retrieves, or its folder.
            ranking: a run that ranks, or its folder.
            candidates: how many items the ranker gets; all of a catalogue that has fewer.
            seed: of both models; the first one of each run if None.

        Raises:
            RunError: there is no run, one is of the other kind, or it is damaged.
            QueryError: `candidates` is below 1.
            DataError: a table that the ranking recipe joins cannot be read.

        """
        retrieval, ranking = (
            run if isinstance(run, Run) else Run.open(run) for run in (retrieval, ranking)
        )
        _check_kinds(retrieval, ranking)
        count_of("candidates", candidates, error=QueryError)
        retriever = Retriever.open(retrieval, seed=seed)
        scorer = Ranker.open(ranking, seed=seed).scorer()
        size = min(candidates, len(retriever.catalogue))
        return Funnel(retriever, ranking, scorer, size)

    @property
    def task(self) -> str:
        """The ranker's first task, which orders where there is no blend."""
        return next(iter(self.ranking.recipe.schema_.tasks))

    @property
    def diversity(self) -> Diversity | None:
        """What the first places must not be, if the blend says so."""
        return self.scorer.blend.spec.diversity if self.scorer.blend is not None else None

    @cached_property
    def rows(self) -> RowMaker:
        """What makes the ranker's raw rows."""
        return RowMaker.of(
            self.retriever, self.ranking, cleaner_of(self.ranking, self.scorer).sources()
        )

    def recommend(
        self,
        user: str | int | None = None,
        *,
        k: int = 10,
        query: Mapping[str, Any] | None = None,
        where: str | None = None,
    ) -> pl.DataFrame:
        """Return the first k items for a user.

        The ranker sees the query columns of the user's last row, `query` in their place where it
        is given, and each item's row of the item table. A query column of the retrieval recipe
        that nobody gives is missing.

        Args:
            user: an id; one that the retrieval run does not know is asked for without a history.
            k: how many, at most `candidates`; fewer come back where fewer candidates exist.
            query: data columns of the query, of the retrieval recipe or the ranking recipe.
            where: a condition on the attributes of items.

        Returns:
            Columns `rank`, `item_id`, `score` (which the order follows, but for diversity),
            `retrieval_score`, `retrieval_rank`, `TASK__prediction` a task, `blend__score` if there
            is a blend, and the item's attributes.

        Raises:
            QueryError: k, the query or the condition is wrong, the recipe has no users, the
                ranker needs a column that neither side has, or it can read no candidate, where the
                ranking recipe skips bad rows.

        """
        self.check_k(k)
        given = dict(query or {})
        self.rows.check_given(given)
        asked = {n: v for n, v in given.items() if n in self.rows.asked}
        if self.retriever.nothing_known(user, asked):
            hits = self.retriever.popular(self.candidates, where=where)
            places, similarity = hits.places, hits.scores
        else:
            vector, history = self.retriever.query(user, asked)
            places, similarity = self.retrieve(vector, [history], where=where)
        found = places[0] >= 0
        item, similarity = places[0][found], similarity[0][found]
        queries, skipped = self._queries(user, given), Counter[str]()
        scored = self.score(queries, np.zeros(len(item), np.int64), item, skipped=skipped)
        if skipped and not scored.height:
            source = self.rows.source(queries, np.zeros(len(item), np.int64), item)
            schema, amounts = self.ranking.recipe.schema_, self.scorer.amounts
            raise unreadable_error(
                source, schema, amounts, skipped, self.rows.is_of_query, rows=len(item)
            )
        groups = np.zeros(scored.height, np.int64)
        ranks = stage_ranks(scored, groups, task=self.task, diversity=self.diversity)
        return self._answer(scored, list(ranks.values())[-1], item, similarity).head(k)

    def retrieve(
        self, vectors: Floats, history: Sequence[Indices], *, where: str | None = None
    ) -> tuple[Indices, Floats]:
        """Return the candidates `[Q, C]` by place in the catalogue, -1 where there are fewer.

        Args:
            vectors: `[Q, D]` of the queries.
            history: places of each user's seen items, excluded if the retrieval recipe says so.
            where: a condition on the attributes of items.

        Returns:
            Candidates, best first, and their inner products `[Q, C]`.

        """
        catalogue, exclude = self.retriever.catalogue, None
        if retrieval_section_of(self.retriever.run.recipe).exclude_seen:
            exclude = [catalogue.ids.gather(places) for places in history]
        hits = self.retriever.index.search(vectors, self.candidates, where=where, exclude=exclude)
        known = catalogue.places_of(hits.catalogue.ids)  # an index may keep an order of its own
        return np.append(known, -1)[hits.places], hits.scores

    def check_k(self, k: int) -> None:
        """Refuse lists of no items, or of more items than there are candidates.

        Raises:
            QueryError: says what is allowed, and how to get more.

        """
        if count_of("k", k, error=QueryError) <= self.candidates:
            return
        more = f"raise --candidates (candidates= in Python) to {k:,}"
        if self.candidates == len(self.retriever.catalogue):
            more = "there are no more items; ask for fewer"
        raise QueryError(
            f"k: expected 1 to {self.candidates:,}, the number of candidates, got {k:,}; {more}"
        )

    def score(
        self,
        queries: pl.DataFrame,
        query: Indices,
        item: Indices,
        *,
        skipped: Counter[str] | None = None,
    ) -> pl.DataFrame:
        """Return the ranker's scores of (query, item) rows.

        A single query is cleaned, encoded and pooled once, not with each of its items.

        Args:
            queries: `[Q]` raw columns of queries, with those that the ranker needs.
            query: `[rows]` places among them.
            item: `[rows]` places in the catalogue.
            skipped: counts up, by column, the rows that are left out; a row may count for several.

        Returns:
            Columns `ROW` (place among the rows; bad ones are left out where the ranking recipe
            skips them), `TASK__prediction` a task, `blend__score` if there is a blend, and the raw
            columns that its diversity looks at.

        Raises:
            QueryError: the ranker needs a column that neither side has.
            DataError: a cell is bad.

        """
        self.rows.check_had(queries.columns)
        kept = self.diversity.columns() if self.diversity is not None else []
        counts = Counter[str]() if skipped is None else skipped
        if queries.height == 1 and len(item):
            cleaned = self._of_one.clean(queries)
            if cleaned.height:
                return self._of_one.score(queries, cleaned, item, skipped=counts, kept=kept)
        cleaner = cleaner_of(self.ranking, self.scorer, counts)
        parts: list[pl.DataFrame] = []
        for chunk in self.rows.source(queries, query, item).chunks(cleaner.sources()):
            frame = cleaner.clean(chunk)
            scores = self.scorer.score(frame).select(~cs.ends_with(RAW))
            raw = [frame[raw_name(name)].alias(name) for name in kept]
            parts.append(pl.DataFrame([frame[ROW], *scores, *raw]))
        return pl.concat(parts) if parts else self._nothing(kept)

    @cached_property
    def _of_one(self) -> QueryScorer:
        return QueryScorer(self.rows, self.scorer, cleaner_of(self.ranking, self.scorer))

    def _nothing(self, raw: list[str]) -> pl.DataFrame:
        names = [f"{task}{PREDICTION}" for task in self.ranking.recipe.schema_.tasks]
        names += [BLEND_SCORE] if self.scorer.blend is not None else []
        kinds = {ROW: pl.Int64()} | dict.fromkeys(names, pl.Float64())
        return pl.DataFrame(schema=kinds | dict.fromkeys(raw, pl.String()))

    def _queries(self, user: str | int | None, given: Mapping[str, Any]) -> pl.DataFrame:
        """Return the raw columns of one query as a row."""
        row: dict[str, Any] = {name: [None] for name in self.rows.known}
        if user is not None and self.rows.user is not None:
            known = self.retriever.known(user)
            row |= {c.name: c for c in known.drop(USER, SEEN_ITEMS)} if known.height else {}
            row[self.rows.user] = [given_id("user", user)]
        row |= {name: [value] for name, value in given.items()}
        if not row:
            return pl.DataFrame({"": [None]})
        columns = {n: v if isinstance(v, pl.Series) else series_of(n, v) for n, v in row.items()}
        return pl.DataFrame(columns)

    def _answer(
        self, scored: pl.DataFrame, rank: Indices, item: Indices, similarity: Floats
    ) -> pl.DataFrame:
        row = scored[ROW].to_numpy()
        order = BLEND_SCORE if self.scorer.blend is not None else f"{self.task}{PREDICTION}"
        own = pl.DataFrame(
            {
                "rank": rank,
                "item_id": self.retriever.catalogue.ids.gather(item[row]),
                "score": scored[order],
                "retrieval_score": similarity[row],
                "retrieval_rank": row + 1,
            }
        )
        scores = scored.select(
            cs.ends_with(PREDICTION) | cs.by_name(BLEND_SCORE, require_all=False)
        )
        both = pl.concat([own, scores], how="horizontal")
        attributes = self.retriever.catalogue.attributes[item[row]]
        own = [retrieval_section_of(self.retriever.run.recipe).item]
        attributes = attributes.select(c for c in attributes.columns if c not in own)
        attributes = attributes.rename(attribute_names(attributes.columns, both.columns))
        return pl.concat([both, attributes], how="horizontal").sort("rank")


def _check_kinds(retrieval: Run, ranking: Run) -> None:
    """Refuse a run that does the other's work."""
    order = "the order is: crosstower funnel RETRIEVAL RANKING"
    if retrieval.recipe.retrieval is None:
        raise RunError(
            f"{retrieval.folder}: a run that ranks, where one that retrieves is expected; {order}"
        )
    if ranking.recipe.retrieval is not None:
        raise RunError(
            f"{ranking.folder}: a run that retrieves, where one that ranks is expected; {order}"
        )
