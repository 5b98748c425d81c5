"""Several blends of one ranker, fitted on its validation rows and scored side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from crosstower.blending.blender import FittedBlend, fit_blend
from crosstower.blending.held_out import refuse_tasks, valid_rows
from crosstower.errors import RecipeError
from crosstower.recipe.blend import Blend
from crosstower.recipe.own_columns import PREDICTION
from crosstower.training.run import Run

SCORE = "__score"


def fit_blends(
    run: Run, model: str, seed: int, blends: Mapping[str, Blend]
) -> dict[str, FittedBlend]:
    """Return blends by name, each fitted on the validation predictions of a training run.

    Diversity is left out: it orders lists, and a score is of one row.

    Raises:
        RecipeError: a blend does not fit the tasks, or is none.
        RunError: a column that a blend reads is not stored with the predictions.

    """
    for name, blend in blends.items():
        if not isinstance(blend, Blend):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RecipeError(f"blend: expected {{NAME: Blend(...)}}, got {name!r}: {blend!r:.60}")
    plain = {n: b.model_copy(update={"diversity": None}) for n, b in blends.items()}
    kinds = run.recipe.schema_.kinds()
    columns = columns_of(plain)
    refuse_tasks(columns, kinds)
    rows = valid_rows(run, model, seed, columns)
    return {name: fit_blend(blend, kinds, rows) for name, blend in plain.items()}


def columns_of(blends: Mapping[str, Blend]) -> list[str]:
    """Return the raw columns that blends read, each once."""
    return list(dict.fromkeys(column for b in blends.values() for column in b.columns()))


def with_scores(frame: pl.DataFrame, fitted: Mapping[str, FittedBlend]) -> pl.DataFrame:
    """Return predictions with a column NAME__score per blend; null where there are none.

    Raises:
        DataError: a column is missing, or a prediction is unusable.

    """
    scores: list[pl.Series] = []
    for name, blend in fitted.items():
        known = np.ones(frame.height, dtype=bool)
        for task in blend.spec.weights:
            known &= frame[f"{task}{PREDICTION}"].is_not_null().to_numpy()
        found = np.full(frame.height, np.nan)
        found[known] = blend.score(frame.filter(pl.Series(known)))
        scores.append(pl.Series(f"{name}{SCORE}", found).fill_nan(None))
    return frame.with_columns(scores)
