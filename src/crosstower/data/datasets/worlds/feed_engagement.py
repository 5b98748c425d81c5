"""Feed engagement: likes and comments on photos and videos."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.recipe.schema import Categorical, Schema
from crosstower.recipe.tasks import Binary

USERS, ITEMS, CONTEXTS, SESSION = 500, 200, 4, 10


def feed_engagement(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of photos and videos, everything drawn uniformly, `SESSION` a session.

    P(like) = 0.3 + 0.2·[photo] + 0.1·[video] + 0.05·[user mod 10 = 0] + 0.03·[context = 1]
    P(comment) = 0.1 + 0.05·[photo] + 0.15·[video] + 0.03·[user mod 10 = 0] + 0.02·[context = 2]

    A session is of one user. Items keep their content type: even ones are photos, odd ones videos.
    """
    session = np.arange(rows) // SESSION
    user = random.integers(0, USERS, -(-rows // SESSION))[session]
    item = random.integers(0, ITEMS, rows)
    context = random.integers(0, CONTEXTS, rows)
    photo = item % 2 == 0
    like, comment = engagement_probabilities(user, photo, context)
    return pl.DataFrame(
        {
            "session_id": session,
            "user_id": user,
            "item_id": item,
            "content_type": np.where(photo, "photo", "video"),
            "context": context,
            "like": (random.random(rows) < like).astype(np.int8),
            "comment": (random.random(rows) < comment).astype(np.int8),
            "like_probability": like,
            "comment_probability": comment,
        }
    )


def engagement_probabilities(
    user: NDArray[np.int64], photo: Any, context: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probabilities of a like and of a comment `[rows]`.

    Args:
        user: ids.
        photo: whether the item is a photo; otherwise it is a video.
        context: codes.

    """
    photo, keen = np.asarray(photo), user % 10 == 0
    like = 0.3 + np.where(photo, 0.2, 0.1) + 0.05 * keen + 0.03 * (context == 1)
    comment = 0.1 + np.where(photo, 0.05, 0.15) + 0.03 * keen + 0.02 * (context == 2)
    return like, comment


def feed_engagement_schema() -> Schema:
    """Return the columns and both tasks."""
    names = ("user_id", "item_id", "content_type", "context")
    return Schema(
        columns={name: Categorical() for name in names},
        tasks={
            "like": Binary(true_probability="like_probability"),
            "comment": Binary(true_probability="comment_probability"),
        },
    )
