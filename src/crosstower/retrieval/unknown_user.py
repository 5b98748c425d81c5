"""What is said of a user whom a retrieval run does not know."""

from __future__ import annotations


def unknown_words(user: str | int, *, popular: bool) -> str:
    """Return the notice of an unknown user; `popular` items are all there is without a history."""
    if popular:
        return (
            f"user {user!r} is unknown, and the model knows users by their history only: popular"
            " items instead, scored by their training rows"
        )
    return f"user {user!r} is unknown: asked without a history"
