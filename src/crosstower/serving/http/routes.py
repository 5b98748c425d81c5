"""The routes that read: lists, orders, searches, and the model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.access import Needs, ReadRoute, Worker, refuse_above
from crosstower.serving.http.arm_response import ItemCharge, Treatment
from crosstower.serving.http.experiments import ExperimentsResponse
from crosstower.serving.http.model_schemas import ModelResponse
from crosstower.serving.http.problems import REFUSALS, REFUSALS_OF_GET, ApiError, documented
from crosstower.serving.http.responses import list_response, model_response
from crosstower.serving.http.schemas import (
    ListResponse,
    RankRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
)
from crosstower.serving.http.service import Service
from crosstower.serving.http.settings import WARMING
from crosstower.serving.retraining.history import History
from crosstower.serving.retraining.summary import VersionsSummary, summarise
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.heads import StoredEvents
from crosstower.serving.state.impressions import impression_events
from crosstower.serving.state.json_text import json_text
from crosstower.serving.state.state import State

_WRITES = Needs("write")
_MOST_LOGGED = 1_000_000  # characters of the query in the events of one list
read_routes = APIRouter(
    prefix="/v1",
    dependencies=[Depends(Needs("read"))],
    tags=["read"],
    route_class=ReadRoute,
)


@read_routes.post("/recommend", response_model=ListResponse, responses=REFUSALS | documented(507))
async def recommend(body: RecommendRequest, request: Request) -> Response:
    """Return the best items for a user and a query: retrieved, ranked and blended."""
    service: Service = request.app.state.service
    _check_limits(service, k=body.k, candidates=body.candidates)
    warming = WARMING in request.scope
    logged = not warming and not body.explain and await _is_logged(body, request)
    request_id = request.state.request_id
    treatment = None if warming else service.experiments.treatment(body, request_id)
    if treatment is None:
        lists = [await _recommended(service, body, None, logged=logged)]
        response = lists[0].response
    else:
        lists = await _lists(service, treatment, logged=logged)
        response = treatment.response([one.response for one in lists], request_id)
        await service.refund(treatment.refunds(response, [one.charges for one in lists]))
    if logged:
        response["logged"] = await _log(request, response, lists, asked=body.log is True)
    return _json(request, response)


@read_routes.get(
    "/experiments",
    response_model=ExperimentsResponse,
    responses=REFUSALS_OF_GET,
)
async def experiments(
    service: Worker, user: Annotated[str | None, Query(max_length=512)] = None
) -> ExperimentsResponse:
    """Return the experiments of the server, and the arm of a user in each."""
    found = service.experiments.describe(user, service.arms.versions)
    return ExperimentsResponse(experiments=found)


@read_routes.post("/rank", response_model=ListResponse, responses=REFUSALS)
async def rank(body: RankRequest, request: Request) -> Response:
    """Return given candidates in order: ids of items, or whole rows."""
    service: Service = request.app.state.service
    items, rows = body.items, body.rows
    if (items is None) == (rows is None):
        raise ApiError(422, "body: give either items (ids) or rows", reason="invalid")
    _check_limits(service, k=None, candidates=len(items or rows or ()))
    funnel_request = body.funnel_request()

    def work(live: Live) -> dict[str, Any]:
        if rows is not None:
            found = live.needs_rows.rank(funnel_request, rows)
        else:
            found = live.needs_funnel.rank(funnel_request, items or ())
        return _listed(service, found, live, k=body.k, stages=body.stages)

    return _json(request, await service.run(work))


@read_routes.post("/search", response_model=ListResponse, responses=REFUSALS)
async def search(body: SearchRequest, request: Request) -> Response:
    """Return the items nearest to a text."""
    service: Service = request.app.state.service
    _check_limits(service, k=body.k)

    def work(live: Live) -> dict[str, Any]:
        found = live.needs_funnel.search(body.text, k=body.k, where=body.where, query=body.query)
        return _listed(service, found, live, k=body.k, stages=False)

    return _json(request, await service.run(work))


@read_routes.post("/similar", response_model=ListResponse, responses=REFUSALS)
async def similar(body: SimilarRequest, request: Request) -> Response:
    """Return the items most similar to one."""
    service: Service = request.app.state.service
    _check_limits(service, k=body.k)

    def work(live: Live) -> dict[str, Any]:
        found = live.needs_funnel.similar(body.item, k=body.k, where=body.where)
        return _listed(service, found, live, k=body.k, stages=False)

    return _json(request, await service.run(work))


@read_routes.get(
    "/model", response_model=ModelResponse, responses=documented(401, 403, 408, 421, 431, 503)
)
async def model(service: Worker) -> Response:
    """Return the bundle that is served: version, tasks, columns, blend, limits, metrics."""
    settings = service.settings

    def work(live: Live) -> dict[str, Any]:
        return model_response(live, settings, service.number)

    return Response(to_json(await service.run(work)), media_type="application/json")


@read_routes.get(
    "/versions",
    response_model=VersionsSummary,
    responses=REFUSALS_OF_GET,
)
async def versions(service: Worker) -> VersionsSummary:
    """Return the versions of the bundle: verdicts and measurements of the gate, the live one."""
    state, base = service.state, service.settings.bundle
    return await asyncio.to_thread(lambda: summarise(History.of(state, base)))


def _listed(
    service: Service, found: Ranked, live: Live, *, k: int | None, stages: bool
) -> dict[str, Any]:
    service.record(live, found)
    return list_response(live, found, k=k, stages=stages)


@dataclass(frozen=True)
class _Recommended:
    """Response to a request, ids of the candidates of its draw, and charges of its items."""

    response: dict[str, Any]
    request: FunnelRequest
    candidates: list[Any]
    charges: list[ItemCharge]


async def _lists(service: Service, treatment: Treatment, *, logged: bool) -> list[_Recommended]:
    """Return the lists of a treatment.

    Raises:
        Exception: that of a list; what the others have charged is refunded, as none is shown.

    """
    parts = zip(treatment.requests, treatment.bundles, strict=True)
    asked = [_recommended(service, *part, logged=logged) for part in parts]
    found = await asyncio.gather(*asked, return_exceptions=True)
    lists = [one for one in found if isinstance(one, _Recommended)]
    for error in found:
        if isinstance(error, BaseException):
            charges = [[charge for _, charge in one.charges] for one in lists]
            await service.refund([(mine, frozenset()) for mine in charges])
            raise error
    return lists


async def _recommended(
    service: Service, body: RecommendRequest, bundle: str | None, *, logged: bool
) -> _Recommended:
    request = body.funnel_request(service.explore(bundle))

    def respond(live: Live, found: Ranked) -> _Recommended:
        response = _listed(service, found, live, k=body.k, stages=body.stages)
        if found.draw is None and not found.charges:
            return _Recommended(response, request, [], [])
        items = live.needs_funnel.catalogue.items
        pool = items.ids(found.draw.pool) if logged and found.draw is not None else []
        charges = [(items.ids(np.array([place]))[0], charge) for place, charge in found.charges]
        return _Recommended(response, request, pool, charges)

    return await service.recommend(request, respond, bundle=bundle)


async def _is_logged(body: RecommendRequest, request: Request) -> bool:
    """Return whether a list is to be logged.

    Raises:
        ApiError: the token may not write although the server does not log by default, the state
            is full, or the query is too large to be stored with each item.

    """
    service: Service = request.app.state.service
    if not (service.settings.log if body.log is None else body.log):
        return False
    if not service.settings.log:
        await _WRITES(request)
    service.check_room()
    size = len(json_text(dict(body.query))) * (body.k + 1)
    if size > _MOST_LOGGED:
        detail = (
            f"body.query: is stored with each shown item, {size:,} characters in all, at most"
            f" {_MOST_LOGGED:,} are allowed; send a shorter query, a smaller k, or log: false"
        )
        raise ApiError(422, detail, reason="limit")
    return True


async def _log(
    request: Request,
    response: Mapping[str, Any],
    lists: Sequence[_Recommended],
    *,
    asked: bool,
) -> bool:
    """Store a list and its shown items, before the response is sent; return whether it was stored.

    Raises:
        StateUnavailableError: it cannot be stored now, and the request has `asked` for it.

    """
    service: Service = request.app.state.service
    first = lists[0].request

    def write(state: State) -> StoredEvents:
        events = impression_events(
            response["items"],
            request_id=request.state.request_id,
            version=response["version"],
            user=first.user,
            query=first.query,
            explore=None if first.explore is None else first.explore.model_dump(),
            candidates=lists[0].candidates,
        )
        if response["experiment"] is not None:
            events = service.experiments.tagged(events)
        return state.add_events(events)

    try:
        stored = await service.write(write)
    except StateUnavailableError:
        if asked:
            raise
        service.metrics.unlogged_list()
        return False
    service.metrics.events_written(stored.stored)
    service.users.counts.add(stored)
    return True


def _json(request: Request, content: dict[str, Any]) -> Response:
    content["request_id"] = request.state.request_id
    return Response(to_json(content), media_type="application/json")


def _check_limits(service: Service, *, k: int | None, candidates: int | None = None) -> None:
    limits = service.settings.limits
    if k is not None:
        refuse_above("k", k, limits.k)
    if candidates is not None:
        refuse_above("candidates", candidates, limits.candidates)
