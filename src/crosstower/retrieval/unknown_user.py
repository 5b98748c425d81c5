"""Notices of an unknown user, and of unknown items in a history."""

from __future__ import annotations

from collections.abc import Sequence

_NAMED = 5  # ids in a notice


POPULAR = "popular items instead"
"""What a user of whom the model knows nothing gets."""

COUNTED = f"{POPULAR}, scored by their training rows"
"""The same where no model scores them."""

SOURCED = "its list comes from the sources that need no history"
"""The same where the recipe has sources."""


def unknown_words(user: str | int, instead: str | None = None) -> str:
    """Return the notice.

    Args:
        user: an id.
        instead: what the user gets; None if the model reads more than the history.

    """
    if instead is None:
        return f"user {user!r} is unknown: treated as a user without a history"
    return f"user {user!r} is unknown, and the model knows users by their history only: {instead}"


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
