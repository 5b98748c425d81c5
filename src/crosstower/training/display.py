"""Display of a run in a notebook: its metrics as a table, its curves as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from crosstower.evaluation.metrics.registry import MetricKind, names_of, title_of
from crosstower.evaluation.reports.content import SeedHistory
from crosstower.evaluation.reports.notebook import Panel, html_table, run_figure
from crosstower.evaluation.reports.task_report import labelled_calibration
from crosstower.training.history import (
    history,
    read_predictions,
    training_figures,
    untested_notes,
)
from crosstower.training.run import METRICS, Run

_K = 10


def run_html(run: Run) -> str:
    """Return a table of test metrics per task and model (mean ± sd over seeds), and verdicts."""
    rows = ", ".join(f"{name} {count:,}" for name, count in run.info.facts.rows.items())
    seeds = f"{len(run.info.seeds)} seed{'s' if len(run.info.seeds) > 1 else ''}"
    title = f"{run.recipe.name}: {next(iter(run.info.models))}, {seeds}; rows: {rows}"
    if not (run.folder / METRICS).is_file():
        return html_table(title, [], [], notes=[f"Not finished; continue with: {run.resume}"])
    if not run.tested:
        return _untested_html(run, title)
    metrics, cells = run.metrics, list[list[str]]()
    if run.recipe.retrieval is not None:
        kept = [f"{name}@{_k(run)}" for name in names_of("list", shown="table")]
        names = ["model", *map(title_of, kept)]
        cells = [[model, *_row(of, kept)] for model, of in metrics["retrieval"].items()]
    else:
        kinds: list[MetricKind] = [task.kind for task in run.recipe.schema_.tasks.values()]
        shown = names_of(*dict.fromkeys(kinds), shown="table")
        tasks = metrics["tasks"]
        given = {m for models in tasks.values() for of in models.values() for m in of}
        kept = [name for name in shown if name in given]
        names = ["task", "model", *map(title_of, kept)]
        cells = [
            [task if i == 0 else "", model, *_row(of, kept)]
            for task, models in tasks.items()
            for i, (model, of) in enumerate(models.items())
        ]
    return html_table(title, names, cells, notes=_verdicts(run), links=[run.report])


def plot_run(run: Run) -> Figure:
    """Return a figure: a validation metric by epoch, and calibration, per task.

    That of a retriever has the monitored metric by epoch.

    Raises:
        RunError: the training has not finished.

    """
    main, seeds = next(iter(run.info.models)), run.info.seeds
    trainings = [SeedHistory(seed, history(run, main, seed)) for seed in seeds]
    if run.recipe.retrieval is not None:
        key = str(trainings[0].history[-1]["monitor"])
        metric = key.rpartition(".")[2]
        return run_figure([Panel(key, f"{title_of(metric)} by epoch, valid rows")], trainings)
    frame = read_predictions(run, main, seeds[0]) if run.tested else None
    panels = list[Panel]()
    for name, task in run.recipe.schema_.tasks.items():
        metric = _curve(task.kind)
        title = f"{name}: {title_of(metric)} by epoch, valid rows"
        calibration = None if frame is None else labelled_calibration(frame, name)
        panels.append(Panel(f"{name}.{metric}", title, task.kind == "binary", calibration))
    return run_figure(panels, trainings)


def _verdicts(run: Run) -> list[str]:
    """Return the verdicts, with the name of the task where there are several."""
    found = run.verdicts
    return [
        f"{task}: {sentence}" if len(found) > 1 else sentence
        for task, sentences in found.items()
        for sentence in sentences
    ]


def _untested_html(run: Run, title: str) -> str:
    """Return a table of the best validation metric per model and seed."""
    cells = [
        [model, seed, str(found["best_epoch"]), str(found["monitor"]), f"{found['best_value']:.4f}"]
        for model, seeds in training_figures(run).items()
        for seed, found in seeds.items()
    ]
    names = ["model", "seed", "best epoch", "metric", "valid rows"]
    return html_table(title, names, cells, notes=untested_notes(run), links=[run.report])


def _k(run: Run) -> int:
    ks = run.recipe.retrieval.k if run.recipe.retrieval is not None else (_K,)
    return _K if _K in ks else ks[0]


def _curve(kind: MetricKind) -> str:
    return names_of(kind, shown="curve")[0]


def _row(metrics: Mapping[str, Mapping[str, Any]], names: list[str]) -> list[str]:
    return [_cell(metrics.get(name)) for name in names]


def _cell(found: Mapping[str, float | None] | None) -> str:
    if found is None or found["mean"] is None:
        return "–"
    sd = found["sd"]
    return f"{found['mean']:.4f}" if sd is None else f"{found['mean']:.4f} ± {sd:.4f}"
