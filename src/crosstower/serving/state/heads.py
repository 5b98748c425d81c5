"""How far a state has been written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class Heads:
    """Numbers of the newest rows when the state's version was `version`.

    `items` is that of the newest change of an item, `events` of the newest event, `users` of the
    newest attributes of a user, `deletions` of the newest deletion of events or users. `bundle` is
    the bundle chosen last and its number.
    """

    version: int
    items: int
    events: int
    users: int
    deletions: int
    bundle: tuple[int, Path] | None


class StoredEvents(NamedTuple):
    """Number of events that were stored, and of those already known; no others lie between."""

    stored: int
    known: int
    after: int
    last: int
