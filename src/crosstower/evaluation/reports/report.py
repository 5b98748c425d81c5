"""One self-contained HTML page about a run: works offline, on a phone and on paper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from crosstower.errors import RunError
from crosstower.evaluation.metrics.registry import metrics_of, names_of, title_of
from crosstower.evaluation.reports.content import ModelMetrics, ReportContent, TaskReport
from crosstower.evaluation.reports.plots import reliability_plot, training_plot
from crosstower.recipe.tasks import HeadKind

NOT_DEFINED = "\N{EN DASH}"
_TITLES = {"slice": "Value", "rows": "Rows"}  # of columns that are no metrics
_HEADLINE: dict[HeadKind, str] = {"binary": "auc", "regression": "rmse", "rating": "rmse"}


@dataclass(frozen=True)
class _Plot:
    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class _Section:
    """A task with what the template needs beside its plain data."""

    task: TaskReport
    columns: tuple[str, ...]
    headline: str
    plots: tuple[_Plot, ...]

    @property
    def model(self) -> ModelMetrics:
        return self.task.models[0]


def write_report(path: Path, content: ReportContent) -> Path:
    """Write the report as one HTML file and return its path.

    The file refers to nothing outside itself. Folders on the way are made.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_report(content))


def write_page(path: Path, page: str) -> Path:
    """Write a page that is ready and return its path; folders on the way are made.

    Raises:
        RunError: the file cannot be written.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"report {path}: cannot be written ({error.strerror}); free some space or choose"
            " another folder"
        ) from error
    return path


def render_report(content: ReportContent) -> str:
    """Return the HTML of the report; every value given is escaped."""
    sections = [_section(task, content, f"task{i}") for i, task in enumerate(content.tasks)]
    return render_page(
        "report.html.j2",
        content=content,
        sections=sections,
        training=_training_plots(content),
        retrieval_metrics=names_of("list", "catalogue", shown="report"),
        retrieval_plots=_retrieval_plots(content),
    )


def render_page(template: str, **values: object) -> str:
    """Return a template filled in with the formats of the report; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("crosstower.evaluation.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(_FILTERS)  # pyright: ignore[reportUnknownMemberType]
    return environment.get_template(template).render(**values)


def _section(task: TaskReport, content: ReportContent, name: str) -> _Section:
    plots: list[_Plot] = []
    if task.calibration is not None:
        before = task.effect.before if task.effect is not None else None
        percent = task.kind == "binary"
        svg = reliability_plot(task.calibration, name=name, percent=percent, before=before)
        words = f"Observed against predicted in {len(task.calibration.curve.count)} bins of equal"
        words += " mass; on the dashed line predictions are right. Below: how often each is made."
        plots.append(_Plot("Calibration", words, svg))
    for metric in metrics_of(task.kind, shown="curve"):
        key = f"{task.name}.{metric.name}"
        if any(key in r["valid"] for t in content.trainings for r in t.history):
            svg = training_plot(content.trainings, key=key, name=f"{name}-{metric.name}")
            words = "Validation rows after each epoch, one line a seed; the best epoch is marked."
            plots.append(_Plot(f"{metric.title} by epoch", words, svg))
    shown = names_of(task.kind, shown="report")
    columns = tuple(c for c in shown if c in task.models[0].metrics)
    return _Section(task, columns, _HEADLINE[task.kind], tuple(plots))


def _training_plots(content: ReportContent) -> tuple[_Plot, ...]:
    if not any(training.history for training in content.trainings):
        return ()
    svg = training_plot(content.trainings, key=None, name="loss")
    together = ", all tasks together" if len(content.tasks) > 1 else ""
    words = f"Mean loss of the training rows in each epoch{together}, one line a seed."
    return (_Plot("Training loss by epoch", words, svg),)


def _retrieval_plots(content: ReportContent) -> tuple[_Plot, ...]:
    if content.retrieval is None or not any(t.history for t in content.trainings):
        return ()
    key = f"retrieval.ndcg@{content.retrieval.headline}"
    svg = training_plot(content.trainings, key=key, name="ndcg")
    words = "Validation questions after each epoch, one line a seed; the best epoch is marked."
    return (_Plot(f"NDCG@{content.retrieval.headline} by epoch", words, svg),)


def _title(name: str) -> str:
    """Return the title of a metric or of another column of a table."""
    return _TITLES.get(name) or title_of(name)


def _count(rows: int) -> str:
    return f"{rows:,}"


def _number(value: float, digits: int = 4) -> str:
    return NOT_DEFINED if math.isnan(value) else f"{value:,.{digits}f}"


def _signed(value: float, digits: int = 4) -> str:
    if math.isnan(value):
        return NOT_DEFINED
    return f"{value:+,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float, *, signed: bool = False, digits: int = 2) -> str:
    text = _signed(100.0 * value, digits) if signed else _number(100.0 * value, digits)
    return text if math.isnan(value) else f"{text} %"


def _cell(value: object) -> str:
    """Return a value of a slice table: counts with separators, other numbers in four decimals."""
    if isinstance(value, float):
        return _number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


_FILTERS = {
    "number": _number,
    "signed": _signed,
    "percent": _percent,
    "count": _count,
    "title_of": _title,
    "cell": _cell,
}
