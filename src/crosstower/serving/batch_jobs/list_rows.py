"""Lists of a batch of users as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from crosstower.funnel.online.request import Ranked
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.sources.merge import SourceRanks


@dataclass(frozen=True)
class ListRows:
    """Makes rows of lists: `user_id` (or `row`), `position` from 1, `item_id` and `score`.

    Args:
        catalogue: of the items.
        k: length of a list.
        stages: whether to add `retrieval_rank`, `retrieval_score`, `sources` if there are any,
            `TASK__prediction` per task, and `blend__score` if there is a blend.
        tasks: of the ranker; empty without one.
        blended: whether there is a blend.
        sources: names of the sources of candidates; empty for only the retrieval model.

    """

    catalogue: Catalogue
    k: int
    stages: bool = False
    tasks: tuple[str, ...] = ()
    blended: bool = False
    sources: tuple[str, ...] = ()

    def frame(self, keys: pl.Series, lists: Sequence[Ranked]) -> pl.DataFrame:
        """Return the rows of the lists `[Q]` whose users, or rows, are `keys` `[Q]`."""
        sizes = np.array([min(len(one.places), self.k) for one in lists], dtype=np.int64)
        total = int(sizes.sum())
        ends = np.cumsum(sizes)
        position = np.arange(total) - np.repeat(ends - sizes, sizes) + 1
        places = self._joined([one.places for one in lists], np.int64)
        columns = [
            keys.gather(np.repeat(np.arange(len(lists)), sizes)),
            pl.Series("position", position.astype(np.int32)),
            self.catalogue.ids.gather(places).alias("item_id"),
            pl.Series("score", self._joined([one.score for one in lists], np.float64)),
        ]
        return pl.DataFrame([*columns, *(self._stages(lists) if self.stages else [])])

    def _stages(self, lists: Sequence[Ranked]) -> list[pl.Series]:
        rank = self._joined([_given(one.retrieval_rank) for one in lists], np.int32)
        score = self._joined([_given(one.retrieval_score) for one in lists], np.float32)
        # Candidates that rules have added were not retrieved.
        ranks = pl.Series("retrieval_rank", rank)
        found = [ranks.set(ranks == 0, None), pl.Series("retrieval_score", score)]
        if self.sources:
            found.append(self._sources(lists))
        for task in self.tasks:
            values = [one.predictions.get(task, np.empty(0)) for one in lists]
            found.append(pl.Series(f"{task}{PREDICTION}", self._joined(values, np.float64)))
        if self.blended:
            scores = [_given(one.blend_score) for one in lists]
            found.append(pl.Series(BLEND_SCORE, self._joined(scores, np.float64)))
        return found

    def _sources(self, lists: Sequence[Ranked]) -> pl.Series:
        """Return the sources of each item; popular fallback items have none."""
        parts = [SourceRanks.none(self.sources)]
        for one in lists:
            own = one.sources or SourceRanks.none(self.sources).extended(len(one.places))
            parts.append(own.take(np.arange(min(len(one.places), self.k))))
        return SourceRanks.concatenate(parts).series()

    def _joined(self, parts: Sequence[np.ndarray], kind: type[np.number]) -> np.ndarray:
        """Return the first `k` of each part, one after the other."""
        whole = [part[: self.k] for part in parts]
        return np.concatenate([np.empty(0, kind), *whole]).astype(kind)


def _given(values: np.ndarray | None) -> np.ndarray:
    return np.empty(0) if values is None else values
