"""The routes of users: attributes, live history, erasure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import ConfigDict, Field
from pydantic_core import to_json

from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.http.access import Needs, TokenFirstRoute, Worker, refuse_above
from crosstower.serving.http.problems import REFUSALS, REFUSALS_OF_GET, ApiError, documented
from crosstower.serving.state.events import Properties


class UsersRequest(FrozenModel):
    """Attributes of users, whole rows."""

    users: tuple[Properties, ...] = Field(
        min_length=1, description="Rows with the user's id and columns of the query."
    )


class _Response(FrozenModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class UsersResponse(_Response):
    """Users that were written."""

    sequence: int = Field(description="Number of the last change; it only grows.")
    users: int


class HistoryItem(_Response):
    """An item of a history; without a type and a time it is of a training row."""

    item_id: int | str
    type: str | None
    time: datetime | None


class UserResponse(_Response):
    """Attributes, history and future events of a user."""

    user: int | str
    trained: bool = Field(description="Whether the training rows have the user.")
    attributes: dict[str, Any]
    ignored_attributes: list[str] = Field(description="Those that this bundle cannot read.")
    history: list[HistoryItem] = Field(description="Oldest first, at most the newest 1,000.")
    future: list[HistoryItem] = Field(description="Events that wait for their time.")
    unknown_items: list[HistoryItem] = Field(description="Events that wait for their item.")


class ErasedResponse(_Response):
    """Number of users that had attributes, and of events that were erased."""

    users: int
    events: int


_MOST_IDS = 1_000
user_routes = APIRouter(prefix="/v1", tags=["users"], route_class=TokenFirstRoute)
Reader, Writer = Depends(Needs("read")), Depends(Needs("write"))


@user_routes.put("/users", responses=REFUSALS | documented(507), dependencies=[Writer])
async def put_users(body: UsersRequest, service: Worker) -> UsersResponse:
    """Store attributes of users; they replace all earlier ones of these users."""
    refuse_above("users", len(body.users), service.settings.limits.users, " at a time")
    service.check_room()
    users = await service.run(lambda live: service.users.check(live, body.users))
    sequence = await service.write(lambda state: state.put_users(users))
    return UsersResponse(sequence=sequence, users=len(users))


@user_routes.get(
    "/users",
    response_model=UserResponse,
    responses=REFUSALS_OF_GET | documented(404),
    dependencies=[Reader],
)
async def get_user(
    service: Worker, user: Annotated[str, Query(alias="id", min_length=1, max_length=512)]
) -> Response:
    """Return the attributes of a user, and the history that recommendations start from."""
    found = await service.run(lambda live: service.users.show(live, user))
    if not found.pop("known"):
        raise ApiError(
            404,
            f"user {found['user']!r} is unknown: no training row, no attributes and no events",
            reason="unknown",
        )
    return Response(to_json(found), media_type="application/json")


@user_routes.delete("/users", responses=REFUSALS, dependencies=[Writer])
async def delete_users(
    service: Worker,
    ids: Annotated[list[str], Query(alias="id", min_length=1, max_length=_MOST_IDS)],
) -> ErasedResponse:
    """Erase attributes and all events of users from the disk; the file is rewritten."""
    users = await service.run(lambda live: service.users.ids(live, ids))
    rows, events = await service.write(lambda state: state.erase_users(users))
    await service.renew_counts()
    return ErasedResponse(users=rows, events=events)
