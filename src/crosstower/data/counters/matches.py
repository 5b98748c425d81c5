"""Number of rows with events to count or to list."""

from __future__ import annotations

from dataclasses import dataclass

from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList
from crosstower.values.durations import duration_text
from crosstower.values.instants import SECOND


@dataclass(frozen=True)
class CountMatch:
    """Rows of one pass, and those with at least one event.

    >>> CountMatch(EventCount(("click",), ("item_id",), 604_800 * SECOND), rows=4, found=3).sentence
    "counts of 'click' by item_id within 7d: 3 of 4 rows have events (75.0%)"
    """

    count: EventCount | EventList
    rows: int
    found: int

    @property
    def low(self) -> bool:
        """Whether no row has an event, so that something may be wrong."""
        return self.rows > 0 and self.found == 0

    @property
    def sentence(self) -> str:
        """The count and its number of rows with events; advice if there are none."""
        what = _what(self.count)
        share = self.found / self.rows if self.rows else 0.0
        advice = "; check that rows and events write their keys alike, and that their times overlap"
        found = f"{self.found:,} of {self.rows:,} rows have events ({share:.1%})"
        return f"{what}: {found}{advice if self.low else ''}"


def _what(count: EventCount | EventList) -> str:
    types, keys = ", ".join(map(repr, count.events)), ", ".join(count.by)
    if isinstance(count, EventList):
        return f"history '{count.column}' of {types} by {keys}"
    return f"counts of {types} by {keys} within {duration_text(count.window / SECOND)}"
