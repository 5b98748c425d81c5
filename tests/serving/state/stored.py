"""What a state holds, and events for it."""

from typing import Any

from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State


def table(state: State) -> dict[int | str, dict[str, Any] | None]:
    """Return the items as a worker that reads all changes has them."""
    return {change.id: change.row for change in state.changes_after(0)}


def event_ids(state: State) -> set[str]:
    with state.database.reading() as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM events").fetchall()}


def events(*ids: str) -> list[Event]:
    return [Event(event_id=i, type="click") for i in ids]
