"""Permutation importance: how much worse a metric becomes if a column is shuffled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.encoded_shards import write_block
from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import RunError
from crosstower.evaluation.metrics.auc import group_ids
from crosstower.evaluation.metrics.registry import direction_of
from crosstower.evaluation.metrics.tasks import HEADLINE_METRIC, RANKING_METRIC, task_metrics
from crosstower.evaluation.reports.content import ColumnImportance
from crosstower.ranking.mixed_rows import ColumnMixer, with_layout
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.recipe import Recipe
from crosstower.storage.documents import read_document
from crosstower.storage.files import write_atomic
from crosstower.training.run import BACKGROUND, IMPORTANCE, Run
from crosstower.values.arrays import Indices
from crosstower.values.json_values import json_values

BACKGROUND_ROWS = 256


class Spread(FrozenModel):
    """Mean and standard deviation over the repeats; None if the metric is undefined."""

    mean: float | None
    sd: float | None


class TaskImportance(FrozenModel):
    """Importance of the columns for one task.

    `value` is the metric of the rows as they are; `columns` has by how much it becomes worse, so
    that larger is more important for metrics of either direction.
    """

    metric: str
    value: float | None
    columns: dict[str, Spread]


class ImportanceResults(FrozenModel):
    """Content of `importance.json`; `by_group` are the columns that were shuffled among groups."""

    format: Literal[1] = 1
    model: str
    seed: int
    rows: int
    repeats: int
    by_group: tuple[str, ...]
    tasks: dict[str, TaskImportance]


@dataclass(frozen=True)
class LabelledRows:
    """Encoded rows with their labels.

    Args:
        batch: of B rows.
        targets: `[B]` rows with a column per task, null where a label is missing.
        groups: `[B]`, group ids; None without groups.

    """

    batch: Batch
    targets: pl.DataFrame
    groups: pl.Series | None


def write_importance(
    run: Run, rows: EncodedRows, targets: pl.DataFrame, on_progress: OnProgress = no_progress
) -> None:
    """Write importance and background rows of the main model, from validation rows.

    Args:
        run: with finished training runs; its recipe has `evaluation.importance`.
        rows: encoded validation rows.
        targets: of the same rows.
        on_progress: called for each column, with how many are done.

    """
    section = run.recipe.evaluation.importance
    if section is None:
        return
    ranker, group = Ranker.open(run), run.recipe.evaluation.group
    groups = None if group is None else group_ids(targets[group])
    chosen = sample(len(rows), section.rows, groups)
    kept = None if groups is None else groups[chosen]
    batch = with_layout(take(rows, chosen), run.encoder.layout, ranker.encoder.layout)
    given = LabelledRows(batch, targets[chosen], kept)
    metrics = {task: importance_metric(run.recipe, task) for task in run.recipe.schema_.tasks}
    by_group, tasks = importance_of(
        ranker.scorer(), given, metrics, repeats=section.repeats, on_progress=on_progress
    )
    document = ImportanceResults(
        model=ranker.name,
        seed=ranker.seed,
        rows=len(chosen),
        repeats=section.repeats,
        by_group=by_group,
        tasks=tasks,
    )
    write_atomic(run.folder / IMPORTANCE, document.model_dump_json(indent=1).encode())
    first = np.random.default_rng(0).permutation(len(chosen))[:BACKGROUND_ROWS]
    background = given.batch.take(np.sort(first))
    unlabelled = torch.full_like(background.labels, torch.nan)
    plain = Batch(background.codes, background.numbers, background.lists, unlabelled)
    write_block(plain, run.folder / BACKGROUND)


def read_importance(folder: Path) -> ImportanceResults | None:
    """Return the importance that a run keeps, if it has any.

    Raises:
        RunError: the file is damaged.

    """
    path = folder / IMPORTANCE
    if not path.is_file():
        return None
    return read_document(path, ImportanceResults, newest=1, error=RunError, again="train again")


def importance_content(run: Run) -> dict[str, ColumnImportance]:
    """Return the importance of the columns by task, as a report shows it; empty without any."""
    found = read_importance(run.folder)
    if found is None:
        return {}
    return {
        task: ColumnImportance(
            metric=one.metric,
            value=one.value,
            rows=found.rows,
            repeats=found.repeats,
            columns=tuple(
                (name, spread.mean, spread.sd)
                for name, spread in sorted(
                    one.columns.items(), key=lambda pair: -(pair[1].mean or 0.0)
                )
            ),
            by_group=found.by_group,
        )
        for task, one in found.tasks.items()
    }


def importance_metric(recipe: Recipe, task: str) -> str:
    """Return the metric whose change is the importance of a column."""
    kind = recipe.schema_.tasks[task].kind
    grouped = recipe.training.group is not None and kind != "regression"
    return RANKING_METRIC if grouped else HEADLINE_METRIC[kind]


def sample(rows: int, most: int, groups: pl.Series | None) -> Indices:
    """Return places of a random sample of rows, in order; whole groups if there are groups."""
    random = np.random.default_rng(0)
    known = np.arange(rows) if groups is None else np.flatnonzero(groups.is_not_null().to_numpy())
    if groups is None or len(known) == 0:
        return np.sort(random.permutation(rows)[:most])
    codes = groups[known].rank("dense").to_numpy().astype(np.int64) - 1
    turn = random.permutation(int(codes.max()) + 1)[codes]
    ends = np.cumsum(np.bincount(turn))
    return known[turn < max(int(np.searchsorted(ends, most, side="right")), 1)]


def take(rows: EncodedRows, places: Indices) -> Batch:
    """Return encoded rows at ascending places."""
    parts, start = list[Batch](), 0
    for number in range(rows.blocks):
        block = rows.block(number)
        own = places[(places >= start) & (places < start + len(block))] - start
        start += len(block)
        if len(own):
            parts.append(block.take(own))
    return Batch.concatenate(parts)


def importance_of(
    scorer: Scorer,
    rows: LabelledRows,
    metrics: Mapping[str, str],
    *,
    repeats: int,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> tuple[tuple[str, ...], dict[str, TaskImportance]]:
    """Return the permutation importance of every column (Breiman 2001, Fisher et al. 2019).

    A column that has one value in each group, such as the user's age in a request, is shuffled
    among groups, so that lists stay lists. All others are shuffled among rows.

    Args:
        scorer: of the model.
        rows: to shuffle.
        metrics: by task.
        repeats: shuffles per column.
        seed: of the shuffles.
        on_progress: called for each column, with how many are done.

    Returns:
        The columns that were shuffled among groups, and the importance by task.

    """
    mixer, random = ColumnMixer(scorer.encoder), np.random.default_rng(seed)
    count = len(rows.batch)
    own = np.repeat(np.arange(count)[:, None], len(mixer.columns), 1)
    plain = _values(scorer, rows, rows.batch, metrics)
    firsts = None if rows.groups is None else _first_rows(rows.groups)
    worse: dict[str, dict[str, list[float]]] = {task: {} for task in metrics}
    by_group = list[str]()
    for place, column in enumerate(mixer.columns):
        on_progress("shuffling columns", place, len(mixer.columns))
        grouped = firsts is not None and _is_constant(mixer, rows.batch, place, firsts)
        by_group += [column] if grouped else []
        for _ in range(repeats):
            source = own.copy()
            shuffled = random.permutation(count) if not grouped else _among_groups(firsts, random)
            source[:, place] = shuffled
            found = _values(scorer, rows, mixer.mix(rows.batch, source), metrics)
            for task, metric in metrics.items():
                sign = 1.0 if direction_of(metric) == "higher" else -1.0
                drop = sign * (plain[task] - found[task])
                worse[task].setdefault(column, []).append(drop)
    return tuple(by_group), {
        task: TaskImportance(
            metric=metric,
            value=json_values(plain[task]),
            columns={column: _spread(drops) for column, drops in worse[task].items()},
        )
        for task, metric in metrics.items()
    }


def _values(
    scorer: Scorer, rows: LabelledRows, batch: Batch, metrics: Mapping[str, str]
) -> dict[str, float]:
    """Return the metric of each task; the batch has the columns, `rows` the labels."""
    kept = {} if scorer.calibrators is None else scorer.calibrators.kept
    predictions = scorer.encoder.decode(scorer.logits(batch), kept=kept)
    found = dict[str, float]()
    for task, metric in metrics.items():
        y = rows.targets[task].cast(pl.Float64).fill_null(math.nan).to_numpy()
        kind = scorer.encoder.schema.tasks[task].kind
        found[task] = task_metrics(kind, y, predictions[task], rows.groups)[metric]
    return found


def _first_rows(groups: pl.Series) -> Indices:
    """Return for each row the first row of its group `[B]`; its own without a group."""
    rows = np.arange(len(groups))
    frame = pl.DataFrame({"group": groups, "row": rows})
    first = frame.select(pl.col("row").first().over("group")).to_series().to_numpy()
    return np.where(groups.is_null().to_numpy(), rows, first).astype(np.int64)


def _is_constant(mixer: ColumnMixer, rows: Batch, place: int, firsts: Indices) -> bool:
    """Return whether a column has one value in each group, and groups have several rows."""
    own = np.repeat(np.arange(len(rows))[:, None], len(mixer.columns), 1)
    source = own.copy()
    source[:, place] = firsts
    both = zip(_inputs(mixer.mix(rows, source)), _inputs(mixer.mix(rows, own)), strict=True)
    same = all(torch.equal(one, other) for one, other in both)
    return same and len(np.unique(firsts)) < len(firsts)


def _inputs(rows: Batch) -> list[torch.Tensor]:
    return Batch(rows.codes, rows.numbers, rows.lists, rows.labels[:, :0]).tensors()


def _among_groups(firsts: Indices | None, random: np.random.Generator) -> Indices:
    """Return for each row the row of another group, the same for all rows of its group."""
    groups, codes = np.unique(firsts, return_inverse=True)  # type: ignore[arg-type] - given then
    return random.permutation(groups)[codes]


def _spread(drops: list[float]) -> Spread:
    values: NDArray[np.float64] = np.asarray(drops)
    if not np.isfinite(values).all():
        return Spread(mean=None, sd=None)
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(mean=float(values.mean()), sd=sd)
