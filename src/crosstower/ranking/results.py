"""From the stored predictions of a run to its metrics and its report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.sources.source import Source
from crosstower.data.tally import Tally
from crosstower.errors import RunError, notify
from crosstower.evaluation.reports.content import (
    DataFacts,
    ReportContent,
    SeedHistory,
    TaskReport,
)
from crosstower.evaluation.reports.report import write_report
from crosstower.evaluation.reports.task_report import task_report
from crosstower.ranking.calibration.calibrators import load_calibrators
from crosstower.ranking.data import evaluation_columns
from crosstower.ranking.importance import importance_content
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.schema import Categorical
from crosstower.recipe.tasks import Binary
from crosstower.storage.folders import publish_changes
from crosstower.training.history import (
    environment_of,
    history,
    metrics_of_models,
    read_predictions,
    refit_notes,
    report_of,
    untested_notes,
    write_figures,
)
from crosstower.training.run import CALIBRATION, Run
from crosstower.values.addresses.address import Place

Predictions = Mapping[str, Sequence[pl.DataFrame]]


def stored_predictions(run: Run) -> dict[str, list[pl.DataFrame]]:
    """Return the test predictions written by training, one frame per model and seed.

    Raises:
        RunError: a file is missing or damaged.

    """
    return {m: [read_predictions(run, m, seed) for seed in run.info.seeds] for m in run.info.models}


def new_predictions(run: Run, source: Source) -> tuple[dict[str, list[pl.DataFrame]], Tally]:
    """Return predictions of every model and seed on other rows, with their labels.

    The tally counts the rows once.
    """
    tally = Ranker.open(run).tally()
    tallies = iter([tally])
    frames = {
        m: [_score(run, source, m, seed, next(tallies, None)) for seed in run.info.seeds]
        for m in run.info.models
    }
    return frames, tally


def task_reports(run: Run, frames: Predictions) -> tuple[TaskReport, ...]:
    """Return the evaluation of every task."""
    schema, evaluation = run.recipe.schema_, run.recipe.evaluation
    important = importance_content(run)
    names = [c.source or n for n, c in schema.columns.items() if isinstance(c, Categorical)]
    return tuple(
        task_report(
            task=name,
            kind=task.kind,
            models=frames,
            constant=run.info.facts.base_rates[name]["train"],
            group=evaluation.group,
            weight=task.sample_weight,
            slices=evaluation.slices,
            id_columns=names,
            true_probability=task.true_probability if isinstance(task, Binary) else None,
            calibrated_by=run.recipe.calibration.by,
            importance=important.get(name),
        )
        for name, task in schema.tasks.items()
    )


def metrics_of(reports: Sequence[TaskReport]) -> dict[str, Any]:
    """Return {task: {model: {metric: {"mean", "sd"}}}} as plain data; None where undefined."""
    return {report.name: metrics_of_models(report.models) for report in reports}


def write_results(run: Run, *, peak_memory_mb: float | None = None) -> tuple[TaskReport, ...]:
    """Evaluate the stored test predictions; write `metrics.json` and `report.html`.

    Without test rows there are no metrics, and the report says so.
    """
    reports = task_reports(run, stored_predictions(run)) if run.tested else ()
    write_report_of(run, reports, run.report)
    verdicts = {report.name: report.verdicts for report in reports}
    write_figures(run, {"tasks": metrics_of(reports), "verdicts": verdicts}, peak_memory_mb)
    publish_changes(run.folder, error=RunError)
    return reports


def write_report_of(
    run: Run, reports: tuple[TaskReport, ...], path: Place, *, facts: DataFacts | None = None
) -> Place:
    """Write the HTML report of `reports`."""
    main = next(iter(run.info.models))
    content = ReportContent(
        title=run.recipe.name,
        date=run.info.created,
        recipe=run.recipe.to_yaml(),
        data=facts or _facts(run),
        tasks=reports,
        trainings=tuple(SeedHistory(s, history(run, main, s)) for s in run.info.seeds),
        environment=environment_of(run),
    )
    return write_report(path, content)


def evaluate_on(
    run: Run, data: Any, out: Place | None = None
) -> tuple[tuple[TaskReport, ...], Place]:
    """Evaluate every model and seed on other labelled rows; return reports and the page.

    Rows left out, unseen values and rows that trained the model are on the page, and are a
    `CrosstowerWarning`.

    The page is `out`, or `report-NAME.html` in the run folder.
    """
    source = counted_source_of(run.recipe, data)
    frames, tally = new_predictions(run, source)
    first = next(iter(frames.values()))[0]
    rates = {t: {"these rows": _mean(first[t])} for t in run.recipe.schema_.tasks}
    notes = tuple(tally.sentences())
    facts = DataFacts(source.name, "none: all rows", {"these rows": first.height}, rates, notes)
    notify(tally.warnings())
    reports = task_reports(run, frames)
    page = write_report_of(run, reports, out or report_of(run, source), facts=facts)
    publish_changes(run.folder, error=RunError)
    return reports, page


def _mean(labels: pl.Series) -> float:
    mean = labels.drop_nulls().mean()
    return float(mean) if isinstance(mean, int | float) else math.nan


def _facts(run: Run) -> DataFacts:
    facts = run.info.facts
    notes = (*facts.notes, *untested_notes(run), *refit_notes(run), *calibration_notes(run))
    return DataFacts(facts.source, facts.split, facts.rows, facts.base_rates, notes)


def calibration_notes(run: Run) -> tuple[str, ...]:
    """Return the failures of calibration in the first training run of the main model."""
    path = run.model_folder(next(iter(run.info.models)), run.info.seeds[0]) / CALIBRATION
    return load_calibrators(path).notes if path.is_file() else ()


def _score(run: Run, source: Source, model: str, seed: int, tally: Tally | None) -> pl.DataFrame:
    columns = evaluation_columns(run.recipe)
    ranker = Ranker.open(run, model=model, seed=seed)
    frames = ranker.score(source, columns=columns, with_labels=True, tally=tally)
    return pl.concat(list(frames))
