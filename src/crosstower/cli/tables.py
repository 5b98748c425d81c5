"""Tables and sentences on the terminal, within 100 columns."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from crosstower.evaluation.metrics.registry import metrics_of, title_of
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import TaskReport
from crosstower.ranking.results import calibration_notes, stored_predictions, task_reports
from crosstower.training.history import (
    precision_words,
    refit_notes,
    training_figures,
    untested_notes,
)
from crosstower.training.run import Run

_WIDTH = 100
_MOST_METRICS = 5  # with their sd


def console() -> Console:
    """Return a console for standard output, at most 100 columns wide."""
    terminal = Console()
    width = min(terminal.width, _WIDTH) if terminal.is_terminal else _WIDTH
    return Console(width=width, markup=False)  # user-given names are not markup


def print_table(title: str | None, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; numeric columns except the first are right-aligned."""
    if title is not None:
        console().print(title, style="italic", highlight=False)
    table = Table(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for place, name in enumerate(names):
        numeric = all(row[place][:1].isdigit() or row[place] in ("", "–") for row in rows)
        justify = "right" if place and numeric else "left"
        table.add_column(name, justify=justify, no_wrap=bool(place and numeric))
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_reports(reports: Sequence[TaskReport]) -> None:
    """Print the metrics of all models per task, and the verdicts."""
    for report in reports:
        metrics = _shown_metrics(report)
        rows = [
            [f"{m.name} *" if m.role == "model" else m.name]
            + [cell(m.metrics.get(metric)) for metric in metrics]
            for m in report.models
        ]
        title = f"{report.name}: {report.rows:,} test rows (* the model)"
        print_table(title, ["", *metrics.values()], rows)
        for sentence in [*report.verdicts, *_calibration_words(report)]:
            console().print(indented(sentence), highlight=False)


def _calibration_words(report: TaskReport) -> list[str]:
    """Return the effect of calibration, if any was fitted."""
    if report.effect is None:
        return []
    changes = [
        f"{title_of(name)} {before:.4f} before, {after:.4f} after"
        for name, (before, after) in list(report.effect.metrics.items())[:2]
    ]
    return [f"Calibration, fitted on the validation rows: {'; '.join(changes)}."]


def print_any_run(run: Run) -> None:
    """Print the results of a ranking or a retrieval run."""
    if run.recipe.retrieval is None:
        print_run(run)
        return
    from crosstower.cli.retrieval_tables import print_retrieval_run

    print_retrieval_run(run)


def print_run(run: Run) -> None:
    """Print the results of a ranking run and the next command."""
    print_data(run)
    if run.tested:
        print_reports(task_reports(run, stored_predictions(run)))
    print_training(run)
    print_blend_findings(run)
    out = console()
    out.print(
        f"score rows: crosstower predict {run.place} ROWS",
        highlight=False,
        soft_wrap=True,
    )


def print_blend_findings(run: Run) -> None:
    """Print the effect of a run's blend on the lists, if it has one."""
    path = run.folder / "blended.json"
    if not path.is_file():
        return
    out = console()
    out.print("Blend", highlight=False)
    found = json.loads(path.read_bytes())
    for sentence in [*found["sentences"], *found["notes"]]:
        out.print(indented(sentence), highlight=False)
    out.print(f"page: {run.place / 'blend.html'}", highlight=False, soft_wrap=True)


def print_data(run: Run) -> None:
    """Print the number of rows per split and the notes about the data."""
    facts, out = run.info.facts, console()
    shares = ", ".join(f"{split} {rows:,}" for split, rows in facts.rows.items())
    out.print(f"{facts.source}: {shares} rows, split {facts.split}", highlight=False)
    notes = (*facts.notes, *untested_notes(run), *refit_notes(run), *calibration_notes(run))
    for note in notes:
        out.print(indented(note), highlight=False)


def print_training(run: Run) -> None:
    """Print the best metric and the time per training run, the peak memory and the report."""
    out, figures = console(), training_figures(run)
    rows = [
        [
            name,
            seed,
            str(f["epochs"]),
            "–" if f["best_epoch"] is None else str(f["best_epoch"]),
            "–" if f["best_value"] is None else f"{f['best_value']:.4f}",
            f"{f['seconds']:.1f}",
            "–" if f["rows_per_second"] is None else f"{f['rows_per_second']:,}",
            f["precision"],
        ]
        for name, seeds in figures.items()
        for seed, f in seeds.items()
    ]
    monitors = dict.fromkeys(f["monitor"] for seeds in figures.values() for f in seeds.values())
    title = f"Training (best epoch by {', '.join(filter(None, monitors))} of the validation rows)"
    names = ["", "Seed", "Epochs", "Best", "Value", "Seconds", "Rows/s", "Precision"]
    print_table(title, names, rows)
    for words in precision_words(run):
        out.print(words, highlight=False)
    peak = run.metrics.get("peak_memory_mb")
    if peak is not None:
        out.print(f"peak memory {peak:,.0f} MB", highlight=False)
    out.print(f"report: {run.report}", highlight=False, soft_wrap=True)


def indented(sentence: str) -> Padding:
    """Return a sentence with all its lines indented by two columns."""
    return Padding(sentence, (0, 0, 0, 2), expand=False)


def _shown_metrics(report: TaskReport) -> dict[str, str]:
    """Return the headings of as many metrics as fit into a line; the page of the report has all.

    Accuracy goes first, as a sentence compares it with the majority class.
    """
    known = report.models[0].metrics
    found = {m.name: m.heading for m in metrics_of(report.kind, shown="table") if m.name in known}
    if len(found) > _MOST_METRICS:
        found.pop("accuracy", None)
    return dict(list(found.items())[:_MOST_METRICS])


def cell(summary: Summary | None) -> str:
    """Return a metric as the cell of a table."""
    if summary is None or summary.mean != summary.mean:
        return "–"
    return str(summary).replace(" ± ", "±")  # five metrics with their sd fit into 100 columns
