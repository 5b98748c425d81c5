"""Rankers on the same test rows: metrics of each task, and their paired tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import RunError
from crosstower.evaluation.metrics.binary import log_losses
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.evaluation.metrics.paired_tests import (
    PairedTest,
    auc_test,
    group_test,
    holm,
    rmse_test,
    row_test,
)
from crosstower.evaluation.metrics.registry import metrics_of
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.metrics.tasks import task_metrics
from crosstower.fitting.comparing.result import TaskComparison
from crosstower.recipe.own_columns import PREDICTION
from crosstower.recipe.tasks import HeadKind
from crosstower.training.history import read_predictions
from crosstower.training.run import Run
from crosstower.values.arrays import Floats

_K = 10
Runs = Mapping[str, Run]


@dataclass(frozen=True)
class _Scored:
    """Test predictions of one run: a frame per seed, with labels."""

    run: Run
    frames: tuple[pl.DataFrame, ...]

    def predictions(self, task: str, known: pl.Series) -> list[Floats]:
        name = f"{task}{PREDICTION}"
        return [f.filter(known)[name].cast(pl.Float64).to_numpy() for f in self.frames]


def compare_rankers(runs: Runs) -> tuple[tuple[TaskComparison, ...], list[str]]:
    """Return the comparison of each common task, and sentences about the rows.

    Raises:
        RunError: the runs have other test rows, or no common task.

    """
    scored = {name: _scored(run) for name, run in runs.items()}
    first, *others = scored.values()
    common = [
        task
        for task, kind in first.run.recipe.schema_.kinds().items()
        if all(other.run.recipe.schema_.kinds().get(task) == kind for other in others)
    ]
    if not common:
        raise RunError(
            f"{', '.join(runs)}: have no task in common; compare runs that predict the same labels"
        )
    notes = list(_notes(scored, common))
    return tuple(_compared(task, scored) for task in common), notes


def _scored(run: Run) -> _Scored:
    main = next(iter(run.info.models))
    return _Scored(run, tuple(read_predictions(run, main, seed) for seed in run.info.seeds))


def _notes(scored: Mapping[str, _Scored], tasks: Sequence[str]) -> Iterator[str]:
    """Yield sentences about the rows; refuse runs of other rows."""
    (first, reference), *others = scored.items()
    prints = {s.run.info.facts.fingerprint for s in scored.values()}
    for name, other in others:
        _refuse_other_rows((first, reference), (name, other), tasks)
    if len(prints) == 1:
        yield "Same rows, by their fingerprint."
    else:
        yield (
            "The fingerprints of the rows differ, as with other columns; the labels of all test"
            " rows agree, so they are compared row by row."
        )
    left = {t for s in scored.values() for t in s.run.recipe.schema_.tasks} - set(tasks)
    if left:
        yield f"Not in all runs, and left out: {', '.join(sorted(left))}."


def _refuse_other_rows(
    first: tuple[str, _Scored], second: tuple[str, _Scored], tasks: Sequence[str]
) -> None:
    one, other = first[1].frames[0], second[1].frames[0]
    words = f"{second[0]}: its test rows are not those of {first[0]}"
    advice = "train both on the same rows with the same data.split"
    if one.height != other.height:
        raise RunError(f"{words} ({other.height:,} and {one.height:,} rows); {advice}")
    for task in tasks:
        if not one[task].cast(pl.Float64).equals(other[task].cast(pl.Float64)):
            raise RunError(f"{words} (the labels of '{task}' differ); {advice}")


def _compared(task: str, scored: Mapping[str, _Scored]) -> TaskComparison:
    first = next(iter(scored.values()))
    labels = first.frames[0][task].cast(pl.Float64)
    known = labels.is_not_null() & labels.is_not_nan().fill_null(value=False)
    kind = first.run.recipe.schema_.tasks[task].kind
    group = first.run.recipe.evaluation.group
    groups = first.frames[0].filter(known)[group] if group in first.frames[0].columns else None
    rows = _Rows(kind, labels.filter(known).to_numpy(), groups, _weights(task, scored, known))
    predicted = {name: s.predictions(task, known) for name, s in scored.items()}
    metrics = {name: rows.metrics(found) for name, found in predicted.items()}
    reference, *others = predicted
    tests = {
        name: rows.tests(predicted[name], predicted[reference], metrics[name], metrics[reference])
        for name in others
    }
    return TaskComparison(task, len(rows.labels), metrics, adjusted(tests))


def _weights(task: str, scored: Mapping[str, _Scored], known: pl.Series) -> Floats | None:
    """Return the sample weights of the labelled rows, if all runs have the same."""
    columns = list[pl.Series | None]()
    for one in scored.values():
        name = one.run.recipe.schema_.tasks[task].sample_weight
        columns.append(None if name is None else one.frames[0].filter(known)[name])
    first, *others = columns
    if first is None or any(c is None or not c.equals(first) for c in others):
        return None
    return first.cast(pl.Float64).to_numpy()


def adjusted(tests: Mapping[str, Sequence[PairedTest]]) -> dict[str, list[PairedTest]]:
    """Return the tests of all runs with p-values adjusted by Holm, per metric."""
    found: dict[str, list[PairedTest]] = {name: [] for name in tests}
    for same in zip(*tests.values(), strict=True):
        for name, test in zip(found, holm(same), strict=True):
            found[name].append(test)
    return found


@dataclass(frozen=True)
class _Rows:
    """The labelled test rows of a task."""

    kind: HeadKind
    labels: Floats
    groups: pl.Series | None
    weights: Floats | None

    def metrics(self, predictions: Sequence[Floats]) -> dict[str, Summary]:
        """Return the metrics of a table over seeds."""
        groups = self.groups if self.kind == "binary" else None
        results = [
            task_metrics(self.kind, self.labels, p, groups, self.weights) for p in predictions
        ]
        names = [m.name for m in metrics_of(self.kind, shown="table") if m.name in results[0]]
        found = {name: Summary.of([r[name] for r in results]) for name in names}
        if self.groups is not None and self._gains():
            lists = self._lists(predictions)
            found[f"ndcg@{_K}"] = Summary.of([values.mean for values in lists])
        return found

    def tests(
        self,
        model: Sequence[Floats],
        reference: Sequence[Floats],
        ours: Mapping[str, Summary],
        theirs: Mapping[str, Summary],
    ) -> list[PairedTest]:
        """Return the tests of a run against the reference."""
        y, a, b = self.labels, model[0], reference[0]
        if self.kind == "binary":
            own, other = (log_losses(y, p) for p in (a, b))
            found = [
                auc_test(y, a, b, ours["auc"], theirs["auc"]),
                row_test("log_loss", own, other, ours["log_loss"], theirs["log_loss"]),
            ]
        else:
            own, other = (np.abs(p - y) for p in (a, b))
            found = [
                rmse_test(y, a, b, ours["rmse"], theirs["rmse"]),
                row_test("mae", own, other, ours["mae"], theirs["mae"]),
            ]
        if self.groups is not None and self._gains():
            lists, others = (self._lists(p) for p in (model, reference))
            found.append(group_test(f"ndcg@{_K}", lists, others, over=str(self.groups.name)))
        return found

    def _gains(self) -> bool:
        """Return whether labels can be gains of a list."""
        return bool(np.all(self.labels >= 0.0) and np.any(self.labels > 0.0))

    def _lists(self, predictions: Sequence[Floats]) -> list[GroupValues]:
        groups: Any = self.groups
        return [ndcg_per_group(groups, p, self.labels, _K) for p in predictions]
