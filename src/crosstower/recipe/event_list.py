"""A history of a row, as a list of earlier events: the only definition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EventList:
    """The values of earlier events of some types with the key of a row, oldest first.

    An event is listed if its time is before that of the row; of equal times, the order is that of
    the log. The last `length` events are kept.

    >>> EventList("history", ("click",), ("user_id",), value="item_id", length=50).column
    'history'

    Args:
        column: data column that holds the list.
        events: types of events.
        by: data columns whose values are the key.
        value: data column that gives the values.
        length: maximum length.

    """

    column: str
    events: tuple[str, ...]
    by: tuple[str, ...]
    value: str
    length: int
