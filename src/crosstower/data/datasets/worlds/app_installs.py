"""App installs: a click-through problem whose signal is one crossing and one threshold."""

from __future__ import annotations

import numpy as np
import polars as pl

from crosstower.recipe.schema import Categorical, Cross, Numeric, Schema
from crosstower.recipe.tasks import Binary

USERS, APPS, LOCATIONS = 1_000, 50, 10


def app_installs(rows: int, random: np.random.Generator) -> pl.DataFrame:
    """Return impressions of apps, everything drawn uniformly, ages 10 to 69.

    P(installed) = 0.1 + 0.3·[user mod 10 = app mod 10] - 0.05·[age > 50]. With 19 of the 60 ages
    over 50 the base rate is 0.1142, and the best possible AUC 0.6774 (over the four groups).
    """
    user = random.integers(0, USERS, rows)
    app = random.integers(0, APPS, rows)
    age = random.integers(10, 70, rows)
    location = random.integers(0, LOCATIONS, rows)
    probability = 0.1 + 0.3 * (user % 10 == app % 10) - 0.05 * (age > 50)
    installed = random.random(rows) < probability
    return pl.DataFrame(
        {
            "user_id": user,
            "app_id": app,
            "location": location,
            "age": age,
            "installed": installed.astype(np.int8),
            "installed_probability": probability,
        }
    )


def app_installs_schema() -> Schema:
    """Return the columns and the task."""
    return Schema(
        columns={
            "user_id": Categorical(),
            "app_id": Categorical(),
            "location": Categorical(),
            "age": Numeric(transform="bucketise"),
            "user_app": Cross(columns=("user_id", "app_id"), hash_buckets=100_000),
        },
        tasks={"installed": Binary(true_probability="installed_probability")},
    )
