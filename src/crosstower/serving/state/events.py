"""Events: impressions and feedback of users, as reported by clients."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from crosstower.recipe.frozen import FrozenModel
from crosstower.serving.state.json_text import plain_json

_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # of nanoseconds since 1970
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _now_if_none(value: Any) -> Any:
    return now() if value is None else value


def _given_time(value: Any) -> Any:
    """Reject numbers, whose unit would be a guess."""
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE.match(value)):
        return value
    raise ValueError("expected a time with a time zone, such as 2026-01-31T18:30:00Z")


def _utc(time: datetime) -> datetime:
    """Return the time in UTC, within the years that training can read."""
    try:
        time = time.astimezone(UTC)
    except OverflowError:
        time = datetime.max.replace(tzinfo=UTC)
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"expected a time within the years {_FIRST_YEAR} to {_LAST_YEAR} in UTC")
    return time


MOST_CHARACTERS = 512
"""Longest text of an id."""

Id = StrictInt | Annotated[StrictStr, Field(max_length=MOST_CHARACTERS)]
KnownTime = Annotated[AwareDatetime, AfterValidator(_utc), BeforeValidator(_given_time)]
Time = Annotated[
    KnownTime,
    BeforeValidator(_now_if_none),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
Properties = Annotated[dict[str, JsonValue], AfterValidator(plain_json)]


class Event(FrozenModel):
    """One event, such as an impression, a click, a booking.

    `event_id` is made by the client; the same one sent again is stored once. `time` is now where
    it is missing. `rank` is the place in the list of response `request_id`, from 1. `value` is
    a number such as a rating, a price or seconds watched. `query` has the query columns of
    the request, `attributes` anything else.
    """

    event_id: str = Field(min_length=1, max_length=128)
    type: str = Field(min_length=1, max_length=64, pattern=r"\S")
    time: Time = Field(default_factory=now)
    request_id: str | None = Field(default=None, max_length=128)
    user: Annotated[Id | None, AfterValidator(plain_json)] = None
    item_id: Annotated[Id | None, AfterValidator(plain_json)] = None
    rank: int | None = Field(default=None, ge=1, le=2**31 - 1, strict=True)
    value: float | None = Field(default=None, allow_inf_nan=False, strict=True)
    query: Properties | None = None
    attributes: Properties | None = None
