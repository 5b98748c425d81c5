"""Frames to write a recipe for."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

COUNT = 60


@pytest.fixture
def wide() -> pl.DataFrame:
    i = pl.int_range(COUNT, eager=True)
    return pl.DataFrame(
        {
            "user_id": i + 10**12,
            "zip": [f"0{n:04d}" for n in range(COUNT)],
            "city": ["Rome", "Oslo"] * (COUNT // 2),
            "age": i,
            "ratio": i / 7.0,
            "gain": [0.0] * (COUNT - 1) + [1e6],
            "hour": i % 4,
            "genres": ["war|drama", "comedy"] * (COUNT // 2),
            "amenities": [["wifi", "pool"], ["desk"]] * (COUNT // 2),
            "image": [[0.1, 0.2, 0.3]] * COUNT,
            "ragged": [[0.1], [0.1, 0.2]] * (COUNT // 2),
            "title": [f"a long sentence about item {n}" for n in range(COUNT)],
            "when": [datetime(2026, 1, 1 + n % 28) for n in range(COUNT)],
            "empty": pl.Series([None] * COUNT, dtype=pl.String),
            "constant": [1] * COUNT,
            "click": i % 2,
        }
    )


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    """Return a log of 400 rows of pure noise, with the columns that users' logs have."""
    random = np.random.default_rng(0)
    watched = random.random(400) < 0.4
    return pl.DataFrame(
        {
            "__index_level_0__": np.argsort(watched, kind="stable"),
            "rowNumber": range(400),
            "userId": random.integers(1, 60, 400),
            "movieId": [float(n) if n else None for n in random.integers(0, 90, 400)],
            "user.id": random.integers(1, 60, 400),
            "requestId": [f"r{n}" for n in range(400)],
            "genres": [["a"] * int(n) for n in random.integers(1, 9, 400)],
            "tags": ["|".join("abc"[: int(n)]) for n in random.integers(1, 4, 400)],
            "watch_time": np.where(
                watched, random.uniform(30, 90, 400), random.uniform(0, 31, 400)
            ),
            "seconds_on_page": np.where(watched, 60.0, 5.0) + random.random(400),
            "like_label": random.integers(0, 2, 400),
            "comment_label": random.integers(0, 2, 400),
            "buy": random.integers(0, 2, 400),
            "part": random.choice(["train", "valid", "test"], 400),
            "step": random.permutation(400),
            "price": random.normal(size=400),
            "did_watch": watched.astype(int),
        }
    )
