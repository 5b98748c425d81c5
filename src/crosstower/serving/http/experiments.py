"""Experiments in a worker: the arm of a request and of an event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from crosstower.errors import CrosstowerError, RecipeError, ServeError
from crosstower.evaluation.experiments.assignment import Assignment
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.evaluation.experiments.specification import Experiment
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import validate
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.arm_response import Treatment
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.schemas import RecommendRequest
from crosstower.serving.http.settings import Limits
from crosstower.serving.state.events import Event, now
from crosstower.values.ids import Id, id_of

_LOG = logging.getLogger("uvicorn.error")

ALLOWED = frozenset({"blend", "rules", "explore", "candidates"})
"""Fields of a request that an arm may set, as far as requests have them."""


class ExperimentSummary(FrozenModel):
    """An experiment of the server, and the arm of the requested user."""

    name: str
    start: datetime
    end: datetime | None
    active: bool
    shares: dict[str, float]
    versions: dict[str, str] = Field(description="By arm with its own bundle: its version.")
    arm: str | None


class ExperimentsResponse(FrozenModel):
    """The experiments of the server."""

    experiments: list[ExperimentSummary]


class RunningExperiments:
    """The experiments of a server; at most one is active at any time.

    Args:
        experiments: of a file; None for no experiment.
        limits: of the server, which the requests of arms must respect.
        metrics: of the server.
        clock: returns the time, in UTC.

    Raises:
        RecipeError: the request of an arm is wrong.

    """

    def __init__(
        self,
        experiments: Experiments | None,
        limits: Limits,
        metrics: ServerMetrics,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._experiments = () if experiments is None else experiments.experiments
        self._metrics, self._clock = metrics, clock
        self._assignments = {
            one.name: Assignment(one.shares, one.salt or one.name) for one in self._experiments
        }
        self._requests = {
            (one.name, name): _request(one, name, arm.request, limits)
            for one in self._experiments
            for name, arm in one.arms.items()
        }

        for one in self._experiments:
            self._check_teams(one)

    def treatment(self, request: RecommendRequest, request_id: str) -> Treatment | None:
        """Return the treatment of a request; None outside of any experiment.

        A request that sets a field that an arm sets is outside the experiment, in any arm.
        """
        if not self._experiments:
            return None
        found = self._arm(request.user, request_id, self._clock())
        if found is None:
            return None
        one, arm = found
        fields = {
            field for name in one.arms for field in self._requests[one.name, name].model_fields_set
        }
        if fields & request.model_fields_set:
            return None
        declared = one.arms.get(arm)
        teams = () if declared is None else declared.interleave or ()
        names = teams or (arm,)
        requests = tuple(self._applied(request, one, name) for name in names)
        bundles = tuple(_bundle(one, name) for name in names)
        if teams:  # the coins decide who shows an item, so a draw would have no propensity
            requests = tuple(part.model_copy(update={"explore": None}) for part in requests)
        self._metrics.arm(one.name, arm)
        return Treatment(one.name, arm, requests, bundles, teams)

    def tagged(self, events: Sequence[Event]) -> list[Event]:
        """Return events with `experiment` and `arm` in their attributes.

        An event that already has the attribute `experiment` keeps it.
        """
        return [self._tagged(event) for event in events]

    def check(self, live: Live, bundle: str | None = None) -> None:
        """Make one request per arm of a bundle, so that no arm fails in production.

        Logs a warning for segments that neither requests nor users can have.

        Args:
            live: the open bundle.
            bundle: its path if arms name it; None for the main bundle.

        Raises:
            ServeError: the bundle cannot serve an arm, such as a blend of tasks that it lacks.

        """
        if live.funnel is None:
            return
        if bundle is None:
            for words in self.unknown_segments(live.funnel.query_columns):
                _LOG.warning(words)
        query = dict.fromkeys(live.funnel.needed_columns)
        mine = [
            (one.name, name)
            for one in self._experiments
            for name in one.arms
            if _bundle(one, name) == bundle
        ]
        for experiment, name in mine:
            request = self._requests[experiment, name]
            fewest = min(request.k, request.candidates or request.k)
            probe = request.model_copy(update={"query": query, "k": fewest})
            try:
                live.funnel.recommend(probe.funnel_request())
            except CrosstowerError as error:
                raise ServeError(
                    f"experiment '{experiment}', arm '{name}': the bundle cannot serve it: {error}"
                ) from error

    def unknown_segments(self, columns: Sequence[str]) -> Iterator[str]:
        """Yield a warning for each segment that is not a query column of a bundle.

        Args:
            columns: of the query.

        """
        for one in self._experiments:
            for name in one.segments:
                if name not in columns:
                    known = ", ".join(columns) or "none"
                    yield (
                        f"experiment '{one.name}': segment '{name}' is not a query column"
                        f" ({known}), so requests and users cannot have it; events can, in their"
                        " query"
                    )

    def describe(self, user: Any, versions: Mapping[str, str]) -> list[ExperimentSummary]:
        """Return the experiments, and the arm of a user in each if one is given.

        Args:
            user: an id, or None.
            versions: of the bundles of arms, by path.

        """
        time, unit = self._clock(), id_of(user)
        return [
            ExperimentSummary(
                name=one.name,
                start=one.start,
                end=one.end,
                active=one.active(time),
                shares=one.shares,
                versions={
                    name: versions[arm.bundle]
                    for name, arm in one.arms.items()
                    if arm.bundle is not None and arm.bundle in versions
                },
                arm=None if unit is None else self._assignments[one.name].of(unit),
            )
            for one in self._experiments
        ]

    def _check_teams(self, one: Experiment) -> None:
        for name, arm in one.arms.items():
            for team in arm.interleave or ():
                if "explore" in self._requests[one.name, team].model_fields_set:
                    raise RecipeError(
                        f"experiments.{one.name}.arms.{name}.interleave: '{team}' sets explore, but"
                        " interleaved lists are not drawn; name an arm without explore"
                    )

    def _tagged(self, event: Event) -> Event:
        attributes: Mapping[str, Any] = event.attributes or {}
        found = self._arm(event.user, event.request_id, event.time)
        if found is None or "experiment" in attributes:
            return event
        tags = {"experiment": found[0].name, "arm": found[1]}
        return event.model_copy(update={"attributes": {**attributes, **tags}})

    def _arm(
        self, user: Any, request_id: str | None, time: datetime
    ) -> tuple[Experiment, str] | None:
        """Return the active experiment and the arm of a user, or of a request without one."""
        one = next((e for e in self._experiments if e.active(time)), None)
        if one is None:
            return None
        unit: Id | None = id_of(user)
        if unit is None and one.anonymous == "request" and request_id is not None:
            unit = f"request {request_id}"
        try:
            arm = None if unit is None else self._assignments[one.name].of(unit)
        except UnicodeEncodeError:  # half of a character, which no stored id has
            return None
        return None if arm is None else (one, arm)

    def _applied(self, request: RecommendRequest, one: Experiment, arm: str) -> RecommendRequest:
        """Return a request with the fields of an arm; the holdout sets none.

        An arm with fewer candidates than a request's `k` ranks `k` of them, so that no arm refuses
        what others serve.
        """
        own = self._requests.get((one.name, arm))
        if own is None:
            return request
        fields = {name: getattr(own, name) for name in own.model_fields_set}
        if own.candidates is not None:
            fields["candidates"] = max(own.candidates, request.k)
        return request.model_copy(update=fields)


def _bundle(one: Experiment, arm: str) -> str | None:
    """Return the path of an arm's own bundle; None for the main one, as of the holdout."""
    declared = one.arms.get(arm)
    return None if declared is None else declared.bundle


def _request(
    one: Experiment, name: str, fields: Mapping[str, Any], limits: Limits
) -> RecommendRequest:
    """Return the fields of an arm as a request."""
    where = f"experiments.{one.name}.arms.{name}.request"
    allowed = sorted(ALLOWED & RecommendRequest.model_fields.keys())
    if wrong := sorted(fields.keys() - set(allowed)):
        raise RecipeError(f"{where}: an arm cannot set '{wrong[0]}'; allowed: {', '.join(allowed)}")
    request = validate(RecommendRequest, dict(fields), where=where)
    given, most = request.candidates or 0, limits.candidates
    if given > most:
        raise RecipeError(f"{where}.candidates: this server allows at most {most:,}, got {given:,}")
    return request
