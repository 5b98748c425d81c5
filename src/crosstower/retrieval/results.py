"""Metrics and report of a retrieval run, from its stored lists."""

from __future__ import annotations

from typing import Any

from crosstower.errors import RunError
from crosstower.evaluation.reports.content import (
    DataFacts,
    ReportContent,
    RetrievalReport,
    SeedHistory,
)
from crosstower.evaluation.reports.report import write_report
from crosstower.evaluation.reports.retrieval_report import RelevantItems, retrieval_report
from crosstower.retrieval.baselines.fit_baselines import omitted_baselines
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.merged_lists import read_merged_lists
from crosstower.retrieval.run_files import COUNT, FOLDER, load_lists, read, read_queries
from crosstower.retrieval.sources.advice import serving_advice
from crosstower.storage.folders import publish_changes
from crosstower.training.history import (
    environment_of,
    history,
    metrics_of_models,
    refit_notes,
    untested_notes,
    write_figures,
)
from crosstower.training.run import Run
from crosstower.values.addresses.address import Place


def stored_report(run: Run) -> RetrievalReport:
    """Return the evaluation of the stored lists.

    Raises:
        RunError: a file is missing or damaged.

    """
    folder = run.folder / FOLDER
    queries = read_queries(run)
    counts = read(folder / "items.parquet")[COUNT].to_numpy()
    lists = {
        name: [load_lists(run.model_folder(name, s) / "test.parquet") for s in run.info.seeds]
        for name in run.info.models
    }
    names = sorted(path.stem for path in (folder / "baselines").glob("*.parquet"))
    return retrieval_report(
        lists,
        ((name, load_lists(folder / "baselines" / f"{name}.parquet")) for name in names),
        RelevantItems(queries.relevant, queries.cold, counts, run.info.facts.relevant_counts),
        retrieval_section_of(run.recipe).k,
        advice=serving_advice(run.recipe, run.place, len(counts)),
        merged=read_merged_lists(run),
    )


def write_retrieval_results(
    run: Run, *, peak_memory_mb: float | None = None
) -> RetrievalReport | None:
    """Evaluate the stored lists; write `metrics.json` and `report.html`.

    Without test rows there are no metrics, and the report says so.
    """
    report = stored_report(run) if run.tested else None
    write_retrieval_report(run, report, run.report)
    figures: dict[str, Any] = {"retrieval": {}, "verdicts": {}}
    if report is not None:
        figures = _figures(run, report)
    write_figures(run, figures, peak_memory_mb)
    publish_changes(run.folder, error=RunError)
    return report


def _figures(run: Run, report: RetrievalReport) -> dict[str, Any]:
    counts = None if report.relevant_counts is None else report.relevant_counts.model_dump()
    return {
        "retrieval": metrics_of(report),
        "verdicts": {"retrieval": report.verdicts},
        "relevant_counts": counts,
        "omitted_baselines": omitted_baselines(run.recipe, report.items),
    }


def metrics_of(report: RetrievalReport) -> dict[str, Any]:
    """Return {model: {metric: {"mean", "sd"}}} as plain data; None where undefined."""
    return metrics_of_models(report.models)


def write_retrieval_report(
    run: Run, report: RetrievalReport | None, path: Place, *, facts: DataFacts | None = None
) -> Place:
    """Write the HTML report."""
    main, known = next(iter(run.info.models)), run.info.facts
    notes = (*known.notes, *untested_notes(run), *refit_notes(run))
    content = ReportContent(
        title=run.recipe.name,
        date=run.info.created,
        recipe=run.recipe.to_yaml(),
        data=facts or DataFacts(known.source, known.split, known.rows, {}, notes),
        tasks=(),
        trainings=tuple(SeedHistory(s, history(run, main, s)) for s in run.info.seeds),
        environment=environment_of(run),
        retrieval=report,
    )
    return write_report(path, content)
