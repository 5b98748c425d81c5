# pyright: reportUnknownMemberType=false
"""The page about the rows of a recipe: findings by severity, and labels over time."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from crosstower.evaluation.reports.page import (
    Block,
    Items,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    render_page,
    write_page,
)
from crosstower.evaluation.reports.plots import ACCENT, inline_svg
from crosstower.fitting.validation.finding import Finding, Validation
from crosstower.values.addresses.address import Place

_TITLES = {"problem": "Problems", "warning": "Warnings", "note": "Notes"}


def write_validation_page(path: Place, found: Validation) -> Place:
    """Write the page about a validation as one HTML file and return its path.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_validation_page(found))


def render_validation_page(found: Validation) -> str:
    """Return the HTML of the page; every value is escaped."""
    rows = ", ".join(f"{split} {count:,}" for split, count in found.rows.items())
    return render_page(
        kicker="Crosstower validate",
        title=found.source,
        lead=f"{rows} rows · {summary_words(found)}",
        sections=_sections(found),
    )


def summary_words(found: Validation) -> str:
    """Return how many problems and warnings there are, such as "1 problem, 2 warnings"."""
    parts = [(len(found.problems), "problem"), (len(found.of("warning")), "warning")]
    words = [f"{count} {name}{'s' if count != 1 else ''}" for count, name in parts if count]
    return ", ".join(words) or "no problems"


def period_cells(found: Validation) -> list[list[str]]:
    """Return the start, the rows and the mean label of each task, a line per period."""
    return [[one.start, f"{one.rows:,}", *map(_cell, one.means.values())] for one in found.periods]


def _sections(found: Validation) -> Iterator[Section]:
    for severity, title in _TITLES.items():
        ones = [one for one in found.findings if one.severity == severity]
        yield Section(severity, title, list(_blocks(ones)))
    if found.periods:
        tasks = list(found.periods[0].means)
        table = Table(
            "Mean labels by period",
            ["From", "Rows", *tasks],
            period_cells(found),
        )
        known = [
            task for task in tasks if any(one.means[task] is not None for one in found.periods)
        ]
        plots = [Plot(task, "", _plot(found, task, number)) for number, task in enumerate(known)]
        note = "Ten periods with equally many rows."
        blocks = [Plots(plots, "pair", "Mean label of"), table, Text("note", note)]
        yield Section("periods", "Labels over time", blocks)


def _blocks(findings: list[Finding]) -> Iterator[Block]:
    if findings and all(not one.rows for one in findings):
        yield Items("notes", [one.sentence for one in findings])
        return
    for one in findings:
        yield Text("text", one.sentence)
        if one.rows:
            yield Items("notes", one.rows)


def _plot(found: Validation, task: str, number: int) -> str:
    figure = Figure(figsize=(3.6, 2.4), layout="constrained")
    axes = figure.subplots()
    values = [one.means[task] for one in found.periods]
    known = [(place, value) for place, value in enumerate(values, 1) if value is not None]
    axes.plot(*zip(*known, strict=True), "o-", color=ACCENT, markersize=3.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("period")
    return inline_svg(figure, [axes], name=f"period{number}")


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
