"""Trade-offs between tasks: the blends that no other blend beats in all tasks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.blender import fit_blend
from crosstower.blending.columns import amounts_of, column_of
from crosstower.blending.measures import task_gain, task_ndcg
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.arguments import count_of
from crosstower.recipe.blend import Blend
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import Floats

_CELLS = 2**22  # compared at once, to bound the memory


def non_dominated(values: Floats) -> NDArray[np.bool_]:
    """Return which rows of `values` `[n, T]` are on the Pareto front `[n]`; higher is better.

    A row is dominated by another that is higher in one column and not lower in any; equal rows do
    not dominate each other. A row with a value that is not finite is not on the front. O(n²·T).

    >>> non_dominated(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.4]])).tolist()
    [True, True, True, False]
    """
    front: NDArray[np.bool_] = np.all(np.isfinite(values), axis=1)
    block = max(_CELLS // max(values.size, 1), 1)
    for start in range(0, len(values), block):
        mine = values[start : start + block, None]  # [block, 1, T]
        dominated = np.all(values >= mine, axis=2) & np.any(values > mine, axis=2)
        front[start : start + block] &= ~np.any(dominated, axis=1)
    return front


def front_of(table: pl.DataFrame, columns: list[str]) -> NDArray[np.bool_]:
    """Return which rows of a table are on the Pareto front of some columns `[rows]`.

    Columns with NaN, such as the NDCG of a task without a positive label, are ignored.
    """
    values = table.select(columns).to_numpy()
    return non_dominated(values[:, ~np.isnan(values).any(axis=0)])


def weight_sweep(
    spec: Blend,
    kinds: Mapping[str, HeadKind],
    fit_frame: pl.DataFrame,
    frame: pl.DataFrame,
    *,
    user: str,
    k: int,
    points: int = 50,
    seed: int = 0,
) -> pl.DataFrame:
    """Return each task's NDCG@k for the manual weights and for random ones.

    The weights of the blend are multiplied by random factors of 0 or more with mean 1 (a uniform
    Dirichlet distribution), so signs and zeros stay. Diversity is not applied.

    Args:
        spec: the manual blend, with at least two nonzero weights.
        kinds: of the model's tasks.
        fit_frame: held-out rows to fit transforms on.
        frame: rows with labels to measure orders on.
        user: column that defines one list per value.
        k: length of the lists that are measured, at least 1.
        points: number of random weight vectors, at least 1.
        seed: of the random weights.

    Returns:
        First the manual blend (`by_hand` is true), then each single task, then random weights:
        columns `TASK__weight` and `TASK__ndcg` per weighted task, `by_hand`, and `front`, whether
        the row is on the Pareto front.

    Raises:
        RecipeError: the blend does not fit the tasks, or has one weight only.
        DataError: a column is missing, a prediction or label is unusable, or `points` is below 1.

    """
    tasks = [task for task, weight in spec.weights.items() if weight != 0.0]
    if len(tasks) < 2:
        raise RecipeError(f"a sweep needs two tasks with weights, got {', '.join(tasks)} only")
    count_of("points", points, error=DataError)
    fitted = fit_blend(spec, kinds, fit_frame)
    parts = [fitted.parts(frame)[task] for task in tasks]
    start = _log(amounts_of(frame, spec.amount)) if spec.amount else np.zeros(frame.height)
    users, labels = column_of(frame, user), [task_gain(frame, task) for task in tasks]
    rows = list[dict[str, float]]()
    for factors in _factors(len(tasks), points, seed):
        # A factor of 0 takes a task out, also where its part is -inf.
        score = sum((f * part for f, part in zip(factors, parts, strict=True) if f > 0.0), start)
        row = {f"{t}__weight": spec.weights[t] * f for t, f in zip(tasks, factors, strict=True)}
        pairs = zip(tasks, labels, strict=True)
        rows.append(row | {f"{t}__ndcg": task_ndcg(users, score, y, k) for t, y in pairs})
    table = pl.DataFrame(rows).with_columns(by_hand=pl.int_range(pl.len()) == 0)
    front = front_of(table, [f"{task}__ndcg" for task in tasks])
    return table.with_columns(front=pl.Series(front))


def _factors(tasks: int, points: int, seed: int) -> Floats:
    """Return factors of the weights `[1 + tasks + points, tasks]`, each row with mean 1."""
    draws = np.random.default_rng(seed).dirichlet(np.ones(tasks), points)
    return np.concatenate([np.ones((1, tasks)), tasks * np.eye(tasks), tasks * draws])


def _log(amount: Floats) -> Floats:
    return np.log(amount, out=np.full(len(amount), -np.inf), where=amount > 0.0)
