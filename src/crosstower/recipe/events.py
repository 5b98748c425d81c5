"""The `data.events` section of a recipe: the logs whose events counters count. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from crosstower.recipe.frozen import FrozenModel

ROWS = "rows"
IMPRESSION = "impression"
"""Type of the event that each row of `rows` is."""


class EventLog(FrozenModel):
    """A log of events: one row per event, with its type, its time and the values of keys.

    >>> EventLog(path="events.parquet", columns={"user_id": "user"}).type
    'type'
    """

    path: str | None = Field(
        default=None,
        description="File, folder or glob of the log, or of `rows` (default: the rows of `data`).",
    )
    rows: bool = Field(
        default=False,
        description="Whether the rows are impressions with labels: each is an event 'impression',"
        " and one of the name of each binary task that is 1.",
    )
    type: str = Field(default="type", description="Column of the type of each event.")
    time: str = Field(default="time", description="Column of the time of each event.")
    columns: dict[str, str] = Field(
        default={},
        description="Columns of the log with other names, as {COLUMN OF THE ROWS: COLUMN OF THE"
        " LOG}, such as {user_id: user}.",
    )

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, plain: Any) -> Any:
        if isinstance(plain, str):
            return {"rows": True} if plain == ROWS else {"path": plain}
        return plain

    @model_validator(mode="after")
    def _rows_or_log(self) -> Self:
        if self.path is None and not self.rows:
            raise ValueError("path: missing; name the log, or set rows: true")
        fields = type(self).model_fields
        given = [n for n in ("type", "time", "columns") if getattr(self, n) != fields[n].default]
        if self.rows and given:
            raise ValueError(
                f"{', '.join(given)}: not allowed with rows, which have the columns of the data"
            )
        return self


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


EventLogs = Annotated[tuple[EventLog, ...], BeforeValidator(_several)]
"""One log or several, each a path, `rows`, or options."""
