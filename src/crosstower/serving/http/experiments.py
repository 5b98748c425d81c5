"""Experiments in a worker: the arm of a request and of an event, and interleaved lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crosstower.errors import CrosstowerError, RecipeError, ServeError
from crosstower.experiments.assignment import Assignment
from crosstower.experiments.experiment_file import Experiments
from crosstower.experiments.interleaving import team_draft
from crosstower.experiments.specification import Experiment
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import validate
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.schemas import RecommendRequest
from crosstower.serving.http.settings import Limits
from crosstower.serving.state.events import Event, now
from crosstower.values.ids import Id, id_of

ALLOWED = frozenset({"blend", "rules", "explore", "candidates"})
"""Fields of a request that an arm may set, as far as requests have them."""

_OF_ONE_LIST = ("stages", "explain")  # parts of a response that two lists have no common one of


class ExperimentSummary(FrozenModel):
    """An experiment of the server, and the arm of the user that was asked for."""

    name: str
    start: datetime
    end: datetime | None
    active: bool
    shares: dict[str, float]
    arm: str | None


class ExperimentsResponse(FrozenModel):
    """The experiments of the server."""

    experiments: list[ExperimentSummary]


@dataclass(frozen=True)
class Treatment:
    """What an arm makes of a request: one list, or two lists to interleave.

    Args:
        experiment: name.
        arm: name.
        requests: one, or two if the arm is interleaved.
        teams: names of the interleaved arms.

    """

    experiment: str
    arm: str
    requests: tuple[RecommendRequest, ...]
    teams: tuple[str, ...] = ()

    def response(self, lists: Sequence[dict[str, Any]], request_id: str) -> dict[str, Any]:
        """Return the response: the only list, or both as one, with the arm.

        Args:
            lists: response to each request.
            request_id: seed of the interleaving.

        """
        found = lists[0] if len(lists) == 1 else self._interleaved(lists, request_id)
        return found | {"experiment": self.experiment, "arm": self.arm}

    def _interleaved(self, lists: Sequence[dict[str, Any]], request_id: str) -> dict[str, Any]:
        items = [{item["item_id"]: item for item in one["items"]} for one in lists]
        drafted = team_draft(
            list(items[0]), list(items[1]), self.requests[0].k, request_id=request_id
        )
        picked = zip(drafted.items, drafted.teams, strict=True)
        merged = [
            items[team][item] | {"rank": rank, "team": self.teams[team]}
            for rank, (item, team) in enumerate(picked, 1)
        ]
        notices = [notice for one in lists for notice in one["notices"]]
        hidden = [name for name in _OF_ONE_LIST if lists[0].get(name) is not None]
        notices += [f"{name}: not returned for interleaved lists" for name in hidden]
        return lists[0] | {
            "items": merged,
            "notices": list(dict.fromkeys(notices)),
            **dict.fromkeys(hidden),
        }


class RunningExperiments:
    """The experiments of a server, of which at most one is active at any time.

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

        A request that sets a field that an arm sets is outside, whatever its arm would be.
        """
        if not self._experiments:
            return None
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
        requests = tuple(self._applied(request, one, name) for name in teams or (arm,))
        if teams:  # the coins decide who shows an item, so a draw would have no propensity
            requests = tuple(part.model_copy(update={"explore": None}) for part in requests)
        self._metrics.arm(one.name, arm)
        return Treatment(one.name, arm, requests, teams)

    def tagged(self, events: Sequence[Event]) -> list[Event]:
        """Return events with `experiment` and `arm` in their attributes.

        An event that has the attribute `experiment` already keeps it.
        """
        return [self._tagged(event) for event in events]

    def check(self, live: Live) -> None:
        """Make one request per arm, so that no arm fails when users meet it.

        Raises:
            ServeError: the bundle cannot serve an arm, such as a blend of tasks that it lacks.

        """
        if live.funnel is None:
            return
        query = dict.fromkeys(live.funnel.needed_columns)
        for (experiment, name), request in self._requests.items():
            fewest = min(request.k, request.candidates or request.k)
            probe = request.model_copy(update={"query": query, "k": fewest})
            try:
                live.funnel.recommend(probe.funnel_request())
            except CrosstowerError as error:
                raise ServeError(
                    f"experiment '{experiment}', arm '{name}': the bundle cannot serve it: {error}"
                ) from error

    def describe(self, user: Any) -> list[ExperimentSummary]:
        """Return the experiments, and the arm of a user in each if one is given."""
        time, unit = self._clock(), id_of(user)
        return [
            ExperimentSummary(
                name=one.name,
                start=one.start,
                end=one.end,
                active=one.active(time),
                shares=one.shares,
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
