"""A funnel of a retrieval run and a ranking run: retrieve, rank, blend, diversify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from crosstower.blending.rules.check import check_rules
from crosstower.errors import DataError, QueryError, RunError, notify
from crosstower.funnel.list_table import list_table
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.funnel.row_maker import RowMaker
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION, RAW, Scorer
from crosstower.recipe.arguments import count_of
from crosstower.recipe.blend import Diversity
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.rules import Rules
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.history_ages import ages_of
from crosstower.retrieval.online.request import history_of
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run
from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]

CANDIDATES = 200
"""Default number of items that the ranker scores per query."""


@dataclass(frozen=True)
class Funnel:
    """An open funnel: retrieves candidates per query and ranks them, from `Funnel.open`.

    >>> import crosstower as ct
    >>> funnel = ct.Funnel.open("runs/items", "runs/clicks", candidates=8)
    >>> funnel
    Funnel('runs/items', 'runs/clicks'; 8 candidates)
    >>> funnel.recommend(7, k=3)["rank"].to_list()
    [1, 2, 3]

    The order is by the ranker's blend, or by the prediction of its first task (higher is better) if
    it has none; the diversity of the blend reorders the first positions.

    Args:
        retriever: of the candidates.
        ranking: run of the ranker.
        scorer: of the ranker.
        candidates: number of items that the ranker scores per query.
        rules: of the lists.

    """

    retriever: Retriever
    ranking: Run
    scorer: Scorer
    candidates: int
    rules: Rules = field(default_factory=Rules)

    def __repr__(self) -> str:
        """Return one line: both runs, and the number of candidates."""
        retrieval, ranking = self.retriever.run.place, self.ranking.place
        return f"Funnel('{retrieval}', '{ranking}'; {self.candidates:,} candidates)"

    @staticmethod
    def open(
        retrieval: Run | str | Path,
        ranking: Run | str | Path,
        *,
        candidates: int | None = None,
        seed: int | None = None,
        rules: Rules | None = None,
    ) -> Funnel:
        """Open two runs, each with its main model.

        Args:
            retrieval: a run that retrieves, or its folder.
            ranking: a run that ranks, or its folder.
            candidates: how many items the ranker gets; all of a catalogue that has fewer. By
                default 200, or the sum of the quotas of the recipe's sources.
            seed: of both models; the first one of each run if None.
            rules: of the lists; those of the ranking recipe, or else of the retrieval recipe, if
                None.

        Raises:
            RunError: there is no run, one is of the other kind, or it is damaged.
            QueryError: `candidates` is below 1, or a rule does not fit the items.
            DataError: a table that the ranking recipe joins cannot be read.

        """
        retrieval, ranking = Run.of(retrieval), Run.of(ranking)
        _check_kinds(retrieval, ranking)
        if candidates is not None:
            count_of("candidates", candidates, error=QueryError)
        retriever = Retriever.open(retrieval, seed=seed)
        scorer = Ranker.open(ranking, seed=seed).scorer()
        size = candidates_or_default(candidates, retriever)
        rules = rules or ranking.recipe.rules or retrieval.recipe.rules or Rules()
        check_rules(rules, retriever.catalogue.kinds, vectors=True)
        return Funnel(retriever, ranking, scorer, size, rules)

    @property
    def task(self) -> str:
        """The ranker's first task, which orders where there is no blend."""
        return next(iter(self.ranking.recipe.schema_.tasks))

    @property
    def diversity(self) -> Diversity | None:
        """Diversity constraint of the blend on the first places, if it has one."""
        return self.scorer.blend.spec.diversity if self.scorer.blend is not None else None

    @cached_property
    def rows(self) -> RowMaker:
        """The maker of the ranker's raw rows."""
        return RowMaker.of(self.retriever, self.ranking, self.scorer.cleaner().sources())

    @cached_property
    def online(self) -> OnlineFunnel:
        """The path of requests, with all items encoded."""
        blends = Blends(self.scorer.blend, self.ranking.recipe.schema_.kinds())
        counters = OnlineCounters.of(self.ranking)
        ranker = OnlineRanker(self.rows, self.scorer, blends, counters)
        size = self.candidates
        return OnlineFunnel(self.retriever, ranker, candidates=size, rules=self.rules)

    @property
    def items(self) -> OnlineItems:
        """The items, as rules read them."""
        return self.retriever.online_items

    def recommend(
        self,
        user: str | int | None = None,
        *,
        k: int = 10,
        query: Mapping[str, Any] | None = None,
        where: str | None = None,
        history: Sequence[str | int] | None = None,
        history_times: Sequence[datetime | str] | None = None,
    ) -> pl.DataFrame:
        """Return the first k items for a user.

        The ranker reads the query columns of the user's last row, replaced by those of `query`,
        and each item's row of the item table. A query column of the retrieval recipe that is not
        given is missing. A server uses the same path, a batch of requests at a time.

        The first call encodes all items for the ranker, which takes about as long as scoring one
        row per item; later calls reuse them.

        Args:
            user: an id; an unknown user has no history. If the query has no other information,
                popular items are ranked.
            k: number of items, at most `candidates`; fewer if there are fewer candidates.
            query: data columns of the query, of the retrieval recipe or the ranking recipe.
            where: a condition on the attributes of items.
            history: ids of items, oldest first, in place of the user's history; ids of unknown
                items are ignored, with a `CrosstowerWarning`.
            history_times: of the items of `history`: datetimes or ISO 8601 texts, oldest first.
                They count for a history with `times`; if None, its events are as of now.

        Returns:
            Columns `rank`, `item_id`, `score` (which sorts the list, except for diversity),
            `retrieval_score`, `retrieval_rank`, `sources` if the recipe has sources,
            `TASK__prediction` per task, `blend__score` if there is a blend, and the item's
            attributes.

        Raises:
            QueryError: k, the query or the condition is wrong, the recipe has no users, the ranker
                needs a column that neither side has, or it can read no candidate although the
                ranking recipe skips bad rows.
            DataError: the ranker cannot read a candidate, and the recipe does not skip bad rows.

        """
        self.check_k(k)
        given, items = dict(query or {}), history_of(history)
        ages = ages_of(history_times, items, self.online.users.now())
        request = FunnelRequest(user, given, k=k, where=where, history=items, history_ages=ages)
        found = self.online.recommend(request)
        self._check_read(found)
        notify(found.notices)
        item = retrieval_section_of(self.retriever.run.recipe).item
        return list_table(found, self.retriever.catalogue, item).head(k)

    def _check_read(self, found: Ranked) -> None:
        """Reject candidates that the ranker cannot read, unless the recipe skips some of them.

        Raises:
            DataError: there is one, and the ranking recipe does not skip bad rows.
            QueryError: it skips bad rows, and no candidate is left.

        """
        skip, count = self.ranking.recipe.data.on_bad_rows == "skip", len(found.unread)
        if self.online.ranker is None or not count or (skip and len(found.places)):
            return
        catalogue, reason = self.retriever.catalogue, "values of item and query together"
        try:
            self.online.ranker.items.encode(catalogue.attributes[found.unread], strict=True)
        except DataError as error:
            if not skip:
                raise
            reason = str(error).partition(" in row ")[0].removeprefix("the items: ")
        if not skip:
            item = catalogue.ids[int(found.unread[0])]
            raise DataError(f"item {item!r}: the ranker cannot read {reason}; fix the item")
        raise QueryError(
            f"the ranker cannot read any candidate ({count:,} of {count:,} left out by"
            f" data.on_bad_rows: skip): {reason}; fix these values of the items"
        )

    def check_k(self, k: int) -> None:
        """Reject lists of no items, or of more items than there are candidates.

        Raises:
            QueryError: names the limit, and how to raise it.

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
        retrieved: Sequence[pl.Series] = (),
        skipped: Counter[str] | None = None,
    ) -> pl.DataFrame:
        """Return the ranker's scores of (query, item) rows.

        Args:
            queries: `[Q]` raw columns of queries, with those that the ranker needs.
            query: `[rows]` places among them.
            item: `[rows]` places in the catalogue.
            retrieved: `[rows]` the columns of retrieval, if the ranker reads some.
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
        on_bad_rows = self.ranking.recipe.data.on_bad_rows
        cleaner = self.scorer.cleaner(on_bad_rows=on_bad_rows, skipped=counts)
        parts: list[pl.DataFrame] = []
        source = self.rows.source(queries, query, item, retrieved)
        for chunk in source.chunks(cleaner.sources()):
            frame = cleaner.clean(chunk)
            scores = self.scorer.score(frame).select(~cs.ends_with(RAW))
            raw = [frame[raw_name(name)].alias(name) for name in kept]
            parts.append(pl.DataFrame([frame[ROW], *scores, *raw]))
        return pl.concat(parts) if parts else self._nothing(kept)

    def _nothing(self, raw: list[str]) -> pl.DataFrame:
        names = [f"{task}{PREDICTION}" for task in self.ranking.recipe.schema_.tasks]
        names += [BLEND_SCORE] if self.scorer.blend is not None else []
        kinds = {ROW: pl.Int64()} | dict.fromkeys(names, pl.Float64())
        return pl.DataFrame(schema=kinds | dict.fromkeys(raw, pl.String()))


def candidates_or_default(candidates: int | None, retriever: Retriever) -> int:
    """Return the number of candidates of a funnel, at most the items of the catalogue.

    Args:
        candidates: as given; None for the default.
        retriever: of the funnel.

    """
    wanted = default_candidates(retriever.run) if candidates is None else candidates
    return min(wanted, len(retriever.catalogue))


def default_candidates(retrieval: Run | None) -> int:
    """Return the default number of candidates: 200, or the sum of the quotas of the sources.

    Args:
        retrieval: run of the retriever; None for only a ranker.

    """
    sources = None if retrieval is None else retrieval.recipe.sources
    return CANDIDATES if sources is None else sum(source.quota for source in sources.values())


def _check_kinds(retrieval: Run, ranking: Run) -> None:
    """Reject a run that does the other's work."""
    order = "the order is: crosstower funnel RETRIEVAL RANKING"
    if retrieval.recipe.retrieval is None:
        raise RunError(
            f"{retrieval.folder}: a run that ranks, where one that retrieves is expected; {order}"
        )
    if ranking.recipe.retrieval is not None:
        raise RunError(
            f"{ranking.folder}: a run that retrieves, where one that ranks is expected; {order}"
        )
