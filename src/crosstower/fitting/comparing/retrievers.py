"""Retrievers on the same test queries: metrics of their lists, and bootstrap tests over queries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from crosstower.errors import RunError
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.paired_tests import group_test
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.evaluation.metrics.summary import Summary
from crosstower.fitting.comparing.rankers import adjusted
from crosstower.fitting.comparing.result import TaskComparison
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.run_files import FOLDER, ID, StoredQueries, load_lists, read, read_queries
from crosstower.training.run import TEST, Run
from crosstower.values.arrays import Floats

TASK = "retrieval"


def compare_retrievers(runs: Mapping[str, Run]) -> tuple[tuple[TaskComparison, ...], list[str]]:
    """Return the comparison of the lists of test queries, and sentences about the rows.

    Raises:
        RunError: the runs have other queries, relevant items or items, or no common list length.

    """
    (first, reference), *others = runs.items()
    queries = read_queries(reference)
    for name, run in others:
        _refuse_other_queries((first, reference), (name, run))
    k = _common_k(runs)
    values = {name: _values(run, queries, k) for name, run in runs.items()}
    metrics = {
        name: {metric: Summary.of([v.mean for v in seeds]) for metric, seeds in found.items()}
        for name, found in values.items()
    }
    over = "users" if retrieval_section_of(reference.recipe).user is not None else "queries"
    tests = {
        name: [
            group_test(metric, values[name][metric], values[first][metric], over=over)
            for metric in values[first]
        ]
        for name, _ in others
    }
    task = TaskComparison(TASK, len(queries.cold), metrics, adjusted(tests), "test queries")
    return (task,), ["Same test queries, relevant items and catalogue."]


def _refuse_other_queries(first: tuple[str, Run], second: tuple[str, Run]) -> None:
    words = f"{second[0]}: its %s are not those of {first[0]}"
    advice = "train both on the same rows with the same data.split and retrieval section"
    one, other = (read(run.folder / FOLDER / "items.parquet")[ID] for _, run in (first, second))
    if not one.equals(other):
        raise RunError(f"{words % 'items'} ({len(other):,} and {len(one):,}); {advice}")
    a, b = (read_queries(run) for _, run in (first, second))
    if not a.ids.equals(b.ids):
        raise RunError(f"{words % 'test queries'} ({len(b.ids):,} and {len(a.ids):,}); {advice}")
    if not all(np.array_equal(*pair) for pair in zip(a.relevant, b.relevant, strict=True)):
        raise RunError(f"{words % 'relevant items'}; {advice}")


def _common_k(runs: Mapping[str, Run]) -> int:
    """Return the list length of the tests: 10 if all runs have it, else the longest common one."""
    lengths = [set(retrieval_section_of(run.recipe).k) for run in runs.values()]
    common = set.intersection(*lengths)
    if not common:
        raise RunError(
            f"{', '.join(runs)}: have no list length in common; set the same retrieval.k in all"
        )
    return 10 if 10 in common else max(common)


def _values(run: Run, queries: StoredQueries, k: int) -> dict[str, list[GroupValues]]:
    """Return the values per query of each metric, one per seed, where they are defined."""
    main = next(iter(run.info.models))
    found: dict[str, list[GroupValues]] = {}
    for seed in run.info.seeds:
        shown = load_lists(run.model_folder(main, seed) / TEST)
        for metric, values in list_metrics(shown, queries.relevant, [k]).items():
            found.setdefault(metric, []).append(_known(values))
    return found


def _known(values: Floats) -> GroupValues:
    known = ~np.isnan(values)
    numbers = pl.Series("query", np.flatnonzero(known))
    return GroupValues(numbers, values[known], int((~known).sum()))
