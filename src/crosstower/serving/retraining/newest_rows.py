"""The newest rows, on which two bundles are compared, by user. Shapes: B rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from crosstower.serving.bundle.bundle import Bundle
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class NewestRows:
    """The newest rows, and the cluster `[B]` of each."""

    frame: pl.DataFrame
    clusters: Indices
    user: str | None

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.clusters.max(initial=-1)) + 1


def newest_rows(frame: pl.DataFrame, bundle: Bundle, *, most: int, seed: int) -> NewestRows:
    """Return rows with their users as clusters; rows are clusters of their own without users.

    Args:
        frame: raw rows.
        bundle: whose recipes name the user.
        most: rows; more are sampled by user.
        seed: of the sample.

    """
    user = user_column(bundle)
    if user is None or user not in frame.columns:
        found = NewestRows(frame, np.arange(frame.height), None)
    else:
        # A row without a user is a cluster of its own.
        alone = pl.int_range(pl.len()).cast(pl.String).alias("row")
        keys = frame.select(pl.when(pl.col(user).is_null()).then(alone).alias("row"), user)
        codes = keys.select(pl.struct(keys.columns).rank("dense").cast(pl.Int64)).to_series()
        found = NewestRows(frame, codes.to_numpy() - 1, user)
    return found if frame.height <= most else _sampled(found, most, seed)


def user_column(bundle: Bundle) -> str | None:
    """Return the column of users: that of the retriever, else the group of the ranker."""
    retrieval, ranking = bundle.retrieval, bundle.ranking
    if retrieval is not None and retrieval.recipe.retrieval is not None:
        return retrieval.recipe.retrieval.user
    return None if ranking is None else ranking.recipe.evaluation.group


def _sampled(rows: NewestRows, most: int, seed: int) -> NewestRows:
    """Return the rows of users drawn at random, about `most` rows."""
    order = np.random.default_rng(seed).permutation(rows.count)
    sizes = np.cumsum(np.bincount(rows.clusters)[order])
    kept = order[: max(int(np.searchsorted(sizes, most, side="right")), 1)]
    mine = np.isin(rows.clusters, kept)
    clusters = np.unique(rows.clusters[mine], return_inverse=True)[1]
    return NewestRows(rows.frame.filter(pl.Series(mine)), clusters, rows.user)
