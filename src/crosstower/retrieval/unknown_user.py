"""Notices of an unknown user, and of unknown items in a history."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5  # ids in a notice


POPULAR = "popular items instead"
"""What the list of a user has if nothing could be retrieved."""

COUNTED = f"{POPULAR}, scored by their training rows"
"""The same where no model scores them."""


def unknown_words(user: str | int, popular: str | None = None) -> str:
    """Return the notice of an unknown user.

    Args:
        user: an id.
        popular: what the list has if nothing could be retrieved; None if something was.

    """
    if popular is None:
        return f"user {user!r} is unknown: treated as a user without a history"
    return f"user {user!r} is unknown, and no items were retrieved: {popular}"


def unknown_items(ids: Sequence[str | int]) -> tuple[str, ...]:
    """Return the notice of ids in a history that are not items; empty without any.

    >>> unknown_items([7, "x"])
    ("history: 2 ids are not items and are ignored: 7, 'x'",)
    """
    if not ids:
        return ()
    named = ", ".join(repr(given) for given in ids[:_NAMED])
    more = ", …" if len(ids) > _NAMED else ""
    count = (
        f"{len(ids):,} ids are not items and are" if len(ids) > 1 else "1 id is not an item and is"
    )
    return (f"history: {count} ignored: {named}{more}",)
