"""A few requests to a new bundle, before a server opens it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from crosstower.errors import BundleError, CrosstowerError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.run_files import USER
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.opening import opened
from crosstower.serving.http.settings import Limits
from crosstower.values.ids import Id

_NOBODY = "a user that no row has"


def check_requests(
    path: Path, rows: pl.DataFrame, *, user: str | None, experiments: Experiments | None = None
) -> None:
    """Open a bundle as a server does, and check its responses to a few requests.

    The requests are of a known user, of the newest user, of an unknown one and of none, and one per
    arm of the experiments. A bundle that only ranks is opened.

    Args:
        path: of the bundle.
        rows: newest raw rows.
        user: their column of users.
        experiments: of the server.

    Raises:
        BundleError: the bundle is damaged, a request fails, or a list is empty or has a score that
            is not finite.
        ServeError: the bundle cannot serve an arm.

    """
    live = opened(path)
    if live.funnel is None:
        return
    for words, one in _users(live.funnel, rows, user):
        _check(path, live.funnel, one, words)
    if experiments is not None:
        RunningExperiments(experiments, Limits(), ServerMetrics()).check(live)


def _users(
    funnel: OnlineFunnel, rows: pl.DataFrame, user: str | None
) -> Iterator[tuple[str, Id | None]]:
    yield "without a user", None
    if user is None:
        return
    known = funnel.retriever.users[USER]
    newest = rows[user].drop_nulls() if user in rows.columns else known.clear()
    yield from (("of a known user", one) for one in known.head(1))
    yield from (("of the newest user", one) for one in newest.tail(1))
    yield "of an unknown user", -1 if known.dtype.is_integer() else _NOBODY


def _check(path: Path, funnel: OnlineFunnel, user: Id | None, words: str) -> None:
    query = dict.fromkeys(funnel.needed_columns)
    size = min(funnel.candidates, len(funnel.catalogue.items))
    try:
        found = funnel.recommend(FunnelRequest(user, query, k=1))
    except CrosstowerError as error:
        raise BundleError(f"{path}: a request {words} fails: {error}") from error
    if size and not len(found.places) and user is None:
        raise BundleError(f"{path}: the list {words} is empty")
    if not np.isfinite(found.score).all():
        raise BundleError(f"{path}: the list {words} has scores that are not finite")
