"""Bundles of experiment arms in a worker: opened, checked and kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import CrosstowerError, ServeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.batcher import ListRequest, respond_to_lists
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.opening import opened
from crosstower.serving.http.served import Served
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.events import now
from crosstower.serving.state.state import State


class ArmBundles:
    """The bundles of arms, each with the items and users of the same state; for one thread.

    Args:
        experiments: of a file, whose arms name bundles; None for no experiment.
        state: of the server.
        metrics: of the worker.

    """

    def __init__(
        self, experiments: Experiments | None, state: State, metrics: ServerMetrics
    ) -> None:
        self._owners = {} if experiments is None else experiments.bundles(now())
        self._state, self._metrics = state, metrics
        self._items = ItemChanges(state)
        self._served: dict[str, Served] = {}
        self._users: dict[str, WorkerUsers] = {}

    def __iter__(self) -> Iterator[Served]:
        """Yield each bundle."""
        return iter(self._served.values())

    def with_main(self, main: Served | None) -> list[Served]:
        """Return all bundles, and the main one if it is open."""
        return [*self, *([] if main is None else [main])]

    def renew(self, main: Served | None) -> bool:
        """Recount some events of all bundles; return whether there is more to do."""
        return any(served.renew() for served in self.with_main(main))

    def live(self, path: str) -> Live:
        """Return the bundle at a path as it is, in any thread."""
        return self._served[path].live

    @property
    def versions(self) -> dict[str, str]:
        """Versions by path."""
        return {path: served.live.version for path, served in self._served.items()}

    def open(self, ledger: Ledger, check: Callable[[Live, str], None]) -> None:
        """Open all bundles.

        Args:
            ledger: spending of the campaigns of rules, shared with the main bundle.
            check: refuses a live bundle, given with its path, that cannot serve its arms.

        Raises:
            ServeError: one is missing, damaged or cannot serve a request; names experiment and arm.

        """
        for path, owner in self._owners.items():
            with _named(owner):
                live = opened(Path(path), ledger)
            check(live, path)
            users = self._users[path] = WorkerUsers(self._state, self._metrics)
            users.serve(live)
            self._served[path] = Served(live, self._state, self._items, self._metrics)
            self._caught_up(path)
            self._metrics.also_served(live.version)

    def check(self, main: Live) -> None:
        """Reject a main bundle whose requests a bundle of an arm could not answer.

        Raises:
            ServeError: the ids of users or items are other columns, or an arm needs columns of the
                query that the main bundle does not.

        """
        for path, served in self._served.items():
            live, owner, funnel = served.live, self._owners[path], main.funnel
            if funnel is None or live.funnel is None:
                alone = path if funnel is not None else main.bundle.folder
                raise ServeError(
                    f"{owner}: bundle: {alone} only ranks; an arm needs two bundles that retrieve"
                )
            ids, own_ids = (
                (section.user, section.item)
                for section in (
                    retrieval_section_of(f.retriever.run.recipe) for f in (funnel, live.funnel)
                )
            )
            if ids != own_ids:
                raise ServeError(
                    f"{owner}: bundle: {path} has the ids {own_ids} of users and items, the bundle"
                    f" that is served has {ids}; both need the same"
                )
            more = [n for n in live.funnel.needed_columns if n not in funnel.needed_columns]
            if more:
                raise ServeError(
                    f"{owner}: bundle: {path} needs the query column '{more[0]}', which requests to"
                    " the bundle that is served may lack; train without it, or serve this bundle"
                )

    def respond(
        self, batch: Sequence[ListRequest[Any]], main: Live, *, queue_timeout: float
    ) -> list[Any | Exception]:
        """Return a result or an error per request; requests to each bundle are one batch.

        Args:
            batch: of requests.
            main: the bundle of requests that name none, with all changes of items.
            queue_timeout: seconds that a request may wait, for the error.

        """
        if not self._served:
            return respond_to_lists(main, batch, queue_timeout=queue_timeout)
        found, known = list[Any | Exception]([None] * len(batch)), self._columns(main)
        for bundle in dict.fromkeys(one.bundle for one in batch):
            live = main if bundle is None else self._caught_up(bundle)
            others = known - set(live.needs_funnel.query_columns)
            places = [place for place, one in enumerate(batch) if one.bundle == bundle]
            mine = [_without(batch[place], others) for place in places]
            results = respond_to_lists(live, mine, queue_timeout=queue_timeout)
            for place, result in zip(places, results, strict=True):
                found[place] = result
        return found

    def _caught_up(self, path: str) -> Live:
        """Return the bundle at a path with all changes that any worker has acknowledged."""
        served = self._served[path]
        served.catch_up(self._state.heads(), self._users[path])
        return served.live

    def _columns(self, main: Live) -> set[str]:
        """Return the query columns that any bundle reads."""
        lives = [main, *(served.live for served in self)]
        return {name for live in lives for name in live.needs_funnel.query_columns}

    def keep_up(self) -> None:
        """Apply changes of other workers, and refresh the metrics."""
        for path, served in self._served.items():
            self._caught_up(path)
            served.show_figures()


def check_arms(experiments: Experiments | None) -> None:
    """Compare the bundles of arms with their checksums, before a worker starts.

    Raises:
        ServeError: one is missing or damaged; names experiment and arm.

    """
    for path, owner in ({} if experiments is None else experiments.bundles(now())).items():
        with _named(owner):
            Bundle.open(path)


@contextmanager
def _named(owner: str) -> Generator[None]:
    try:
        yield
    except CrosstowerError as error:
        raise ServeError(f"{owner}: bundle: {error}") from error


def _without(request: ListRequest[Any], others: Set[str]) -> ListRequest[Any]:
    """Return a request without the query columns that only other bundles know."""
    query = {n: v for n, v in request.request.query.items() if n not in others}
    if len(query) == len(request.request.query):
        return request
    return replace(request, request=replace(request.request, query=query))
