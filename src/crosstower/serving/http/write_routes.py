"""The routes that write: items, events, the bundle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from crosstower.funnel.online.catalogue import EncodedItems, OnlineCatalogue
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.access import Needs, TokenFirstRoute, Worker, refuse_above
from crosstower.serving.http.problems import REFUSALS, ApiError, documented
from crosstower.serving.http.schemas import (
    EventsRequest,
    EventsResponse,
    Id,
    ItemsRequest,
    ItemsResponse,
    SwapRequest,
    SwapResponse,
)
from crosstower.values.addresses.address import absolute_path

_FULL = REFUSALS | documented(507)
_MOST_IDS = 1_000
write_routes = APIRouter(prefix="/v1", tags=["write"], route_class=TokenFirstRoute)
Writer, Admin = Depends(Needs("write")), Depends(Needs("admin"))


@write_routes.put("/items", responses=_FULL, dependencies=[Writer])
async def put_items(body: ItemsRequest, service: Worker) -> ItemsResponse:
    """Store new or changed items; they can be found after the response."""
    refuse_above("items", len(body.items), service.settings.limits.items, " at a time")
    service.check_room()

    rows = [dict(row) for row in body.items]

    def encode(live: Live) -> tuple[OnlineCatalogue, EncodedItems]:
        catalogue = live.needs_funnel.catalogue
        return catalogue, catalogue.encode(rows)  # a row that cannot be read is not written

    catalogue, items = await service.run(encode)
    sequence = await service.write(lambda _state: service.items.put(catalogue, rows, items))
    await service.run(lambda _live: None)  # applies it
    service.metrics.items_written(len(rows))
    return ItemsResponse(sequence=sequence, items=len(rows))


@write_routes.delete("/items", responses=REFUSALS, dependencies=[Writer])
async def delete_items(
    service: Worker,
    ids: Annotated[list[str], Query(alias="id", min_length=1, max_length=_MOST_IDS)],
) -> ItemsResponse:
    """Delete items; unknown ids are ignored."""

    def typed(live: Live) -> list[Id]:
        catalogue = live.needs_funnel.catalogue
        return [catalogue.checked_id("id", given) for given in ids]

    known = await service.run(typed)
    sequence = await service.write(lambda state: state.delete_items(known))
    await service.run(lambda _live: None)
    service.metrics.items_written(len(known))
    return ItemsResponse(sequence=sequence, items=len(known))


@write_routes.post("/events", responses=_FULL, dependencies=[Writer])
async def add_events(body: EventsRequest, service: Worker) -> EventsResponse:
    """Store impressions and feedback; an event_id is stored once."""
    refuse_above("events", len(body.events), service.settings.limits.events, " at a time")
    service.check_room()
    tagged = service.experiments.tagged
    found = await service.write(lambda state: state.add_events(tagged(body.events)))
    service.metrics.events_written(found.stored)
    service.users.counts.add(found)
    return EventsResponse(stored=found.stored, known=found.known)


@write_routes.post("/model", responses=REFUSALS, dependencies=[Admin])
async def swap(body: SwapRequest, service: Worker) -> SwapResponse:
    """Serve another bundle; if it fails its checks, the old one stays."""
    if "\0" in body.path or not _is_text(body.path):
        raise ApiError(422, "body.path: expected the path of a folder", reason="invalid")
    path = await asyncio.to_thread(lambda: absolute_path(Path(body.path)))
    version, previous = await service.swap(path)
    return SwapResponse(version=version, previous=previous)


def _is_text(given: str) -> bool:
    try:
        return bool(given.encode())
    except UnicodeEncodeError:  # half of a character
        return False
