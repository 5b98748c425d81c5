# pyright: reportUnknownMemberType=false
"""The page about an experiment: verdicts, tables, and the lift day by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from crosstower.evaluation.experiments.lifts import Lift
from crosstower.evaluation.experiments.report import ExperimentReport
from crosstower.evaluation.experiments.report_tables import tables_of
from crosstower.evaluation.reports.page import (
    Items,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    render_page,
    write_page,
)
from crosstower.evaluation.reports.plots import ACCENT, SOFT, inline_svg
from crosstower.values.addresses.address import Place


def write_experiment_page(path: Place, report: ExperimentReport) -> Place:
    """Write the page about an experiment as one HTML file and return its path.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_experiment_page(report))


def render_experiment_page(report: ExperimentReport) -> str:
    """Return the HTML of the page about an experiment; every value is escaped."""
    users = sum(report.users.values())
    return render_page(
        kicker="Crosstower experiment",
        title=report.name,
        lead=f"{report.start:%Y-%m-%d} to {report.until:%Y-%m-%d} · {users:,} users ·"
        f" {len(report.users)} arms",
        sections=_sections(report),
    )


def _sections(report: ExperimentReport) -> Iterator[Section]:
    yield Section("findings", "Findings", [Items("verdicts", report.verdicts)])
    tables = [
        block
        for table in tables_of(report)
        for block in (Text("heading", table.title), Table(table.title, table.names, table.rows))
    ]
    note = (
        f"Intervals are always valid: all looks together miss the truth with a probability of at"
        f" most {100 * (1 - report.level):.3g} %, divided by the number of arms and segments."
    )
    yield Section("results", "Results", [*tables, Text("note", note)])
    plots = [
        Plot(arm, "", daily_plot(series, name=f"daily{number}"), "day", "lift")
        for number, (arm, series) in enumerate(report.daily.items())
        if any(lift.known for _, lift in series)
    ]
    small = f"lift in {report.primary} over {report.control} at the end of each day"
    drawn = [Plots(plots, "pair", "Lift by day")] if plots else []
    yield Section("days", "Day by day", drawn, small)
    notes = [Items("notes", report.notes)] if report.notes else []
    yield Section("notes", "Notes", notes)


def daily_plot(series: Sequence[tuple[datetime, Lift]], *, name: str) -> str:
    """Return the lift with its interval at the end of each day, as SVG.

    Args:
        series: time and lift; those without an interval are left out.
        name: prefix of the SVG's ids, unique in its page.

    """
    known = [(number, lift) for number, (_, lift) in enumerate(series, 1) if lift.known]
    days = [number for number, _ in known]
    figure = Figure(figsize=(3.6, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0.0, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    low, high = ([getattr(lift, end) for _, lift in known] for end in ("low", "high"))
    axes.fill_between(days, low, high, color=ACCENT, alpha=0.2, linewidth=0)
    axes.plot(days, [lift.value for _, lift in known], "o-", color=ACCENT, markersize=3.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    return inline_svg(figure, [axes], name=name)
