"""Compare finished runs on the same test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crosstower.errors import RunError
from crosstower.evaluation.reports.content import SeedHistory
from crosstower.fitting.comparing.page import write_comparison_page
from crosstower.fitting.comparing.rankers import compare_rankers
from crosstower.fitting.comparing.result import Comparison, Curves
from crosstower.training.history import history, training_figures
from crosstower.training.run import METRICS, Run
from crosstower.values.addresses.address import Place


def compare(runs: Sequence[Run | str | Path], *, page: Place | None = None) -> Comparison:
    """Compare the main models of finished runs, with paired tests against the first run.

    AUC is compared by DeLong's test, log loss, RMSE and MAE by their paired rows, and lists by a
    bootstrap over users or queries. Runs of other test rows are refused.

    >>> import crosstower as ct
    >>> comparison = ct.compare(["runs/clicks", "runs/clicks-mlp"])
    >>> comparison
    Comparison(clicks vs clicks-mlp: click)
    >>> comparison.tests()["metric"].to_list()
    ['auc', 'log_loss', 'ndcg@10']

    Args:
        runs: two or more, of rankers or of retrievers; the first one is the reference.
        page: HTML file to write, with tables and learning curves.

    Raises:
        RunError: fewer than two runs, a run is missing or unfinished, or their test rows differ.

    """
    opened = [Run.of(run) for run in runs]
    if len(opened) < 2:
        raise RunError(f"compare: expected two runs or more, got {len(opened)}")
    named = dict(zip(_names(opened), opened, strict=True))
    for run in opened:
        _refuse_unfinished(run)
    retrieves = {run.recipe.retrieval is not None for run in opened}
    if len(retrieves) > 1:
        raise RunError(
            f"{', '.join(named)}: are rankers and retrievers; compare runs of one kind, and a"
            " retriever with a ranker by: crosstower funnel RETRIEVER RANKER"
        )
    if retrieves == {True}:
        from crosstower.fitting.comparing.retrievers import (  # noqa: PLC0415 - rankers need none of it
            compare_retrievers,
        )

        tasks, notes = compare_retrievers(named)
    else:
        tasks, notes = compare_rankers(named)
    result = Comparison(
        runs=tuple(named),
        models=tuple(next(iter(run.info.models)) for run in opened),
        tasks=tasks,
        notes=(*notes, *_one_seed(named)),
        curves=tuple(_curves(name, run) for name, run in named.items()),
    )
    if page is not None:
        write_comparison_page(page, result)
    return result


def _one_seed(runs: Mapping[str, Run]) -> list[str]:
    """Return a sentence on the runs whose spread over seeds is unknown."""
    alone = [name for name, run in runs.items() if len(run.info.seeds) == 1]
    if not alone:
        return []
    names = ", ".join(alone)
    words = "Their intervals and p values leave out the spread over seeds; train with --seeds 5."
    return [f"Trained with one seed: {names}. {words}"]


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a short name per run: its folder's name, its whole path if others have that name."""
    short = [run.folder.name for run in runs]
    names = [n if short.count(n) == 1 else str(r.place) for n, r in zip(short, runs, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RunError(f"{twice}: is given twice; name each run once")
    return names


def _refuse_unfinished(run: Run) -> None:
    if not (run.folder / METRICS).is_file():
        raise RunError(f"{run.folder}: the training has not finished; continue with: {run.resume}")
    if not run.tested:
        raise RunError(f"{run.folder}: has no test rows to compare; train with test rows")


def _curves(name: str, run: Run) -> Curves:
    main = next(iter(run.info.models))
    figures = training_figures(run)[main].values()
    monitor = next((f["monitor"] for f in figures if f["monitor"] is not None), "")
    trainings = tuple(SeedHistory(seed, history(run, main, seed)) for seed in run.info.seeds)
    return Curves(name, monitor, trainings)
