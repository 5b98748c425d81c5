"""A user as a server knows them beyond the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crosstower.values.ids import Id


@dataclass(frozen=True)
class LiveUser:
    """Attributes of a user, and the items of events after the training rows, oldest first.

    Args:
        attributes: query columns.
        items: canonical ids, of unknown items too.

    >>> LiveUser({"country": "FR"}, (7, 3)).items
    (7, 3)

    """

    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    items: tuple[Id, ...] = ()


LiveUsers = Callable[[Id], LiveUser]
"""Returns the live user of a canonical id."""

_NOBODY = LiveUser()


def no_live_users(_user: Id) -> LiveUser:
    """Return an empty live user, as outside of a server."""
    return _NOBODY
