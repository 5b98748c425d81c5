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
        ages: data column of the seconds from the events to the row; None if they are not read.

    """

    column: str
    events: tuple[str, ...]
    by: tuple[str, ...]
    value: str
    length: int
    ages: str | None = None


@dataclass(frozen=True)
class TimedList:
    """A history given as a list in the rows, with a list of the times of its events.

    Args:
        column: data column of the history.
        times: data column of the times, one per value.
        ages: data column of the seconds from the events to the row, which is made of the times.
        separator: of lists that are text.

    """

    column: str
    times: str
    ages: str
    separator: str | None = None
