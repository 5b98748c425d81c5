"""The notice of an unknown user."""

from __future__ import annotations


def unknown_words(user: str | int, *, popular: bool) -> str:
    """Return the notice; with `popular`, the user gets popular items."""
    if popular:
        return (
            f"user {user!r} is unknown, and the model knows users by their history only: popular"
            " items instead, scored by their training rows"
        )
    return f"user {user!r} is unknown: treated as a user without a history"
