# pyright: reportUnknownMemberType=false
"""The page of a comparison: tables, paired tests, and learning curves over one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosstower.evaluation.metrics.paired_tests import PairedTest
from crosstower.evaluation.metrics.registry import title_of
from crosstower.evaluation.reports.content import ModelMetrics, epochs_of
from crosstower.evaluation.reports.page import (
    NOT_DEFINED,
    Block,
    Items,
    Key,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    metrics_table,
    render_page,
    seeds_note,
    signed,
    write_page,
)
from crosstower.evaluation.reports.plots import SERIES, SOFT, inline_svg
from crosstower.fitting.comparing.result import Comparison, Curves, TaskComparison
from crosstower.values.addresses.address import Place

_NOTE = (
    "Differences are to the first run, for one training run of each: intervals and p include the"
    " sampling error of the test rows and the spread over seeds. p is adjusted by Holm over runs."
)


def write_comparison_page(path: Place, result: Comparison) -> Place:
    """Write the page of a comparison as one HTML file and return its path.

    Raises:
        RunError: the file cannot be written.

    """
    return write_page(path, render_comparison_page(result))


def render_comparison_page(result: Comparison) -> str:
    """Return the HTML of the page of a comparison; every value is escaped."""
    return render_page(
        kicker="Crosstower comparison",
        title=" · ".join(result.runs),
        lead=", ".join(dict.fromkeys(result.models)),
        sections=_sections(result),
    )


def _sections(result: Comparison) -> Iterator[Section]:
    yield Section("findings", "Findings", [Items("verdicts", sentences_of(result))])
    for place, task in enumerate(result.tasks):
        yield Section(f"task{place}", task.name, _task(result, task), f"{task.rows:,} {task.unit}")
    yield Section("curves", "Learning curves", list(_curves(result.curves)), "validation rows")
    yield Section("notes", "Notes", [Items("notes", result.notes)])


def sentences_of(result: Comparison) -> list[str]:
    """Return the findings: a sentence on the first test of each task and run."""
    found: list[str] = []
    for task in result.tasks:
        for run, tests in task.tests.items():
            found += [f"{task.name}: {run} against {result.runs[0]}: {words_of(tests[0])}."]
    return found


def words_of(test: PairedTest) -> str:
    """Return a test as text, such as "AUC +0.0120 (0.0040 to 0.0200), p 0.003, better"."""
    low, high = signed(test.low), signed(test.high)
    p = NOT_DEFINED if math.isnan(test.p) else p_words(_p(test))
    return f"{title_of(test.metric)} {signed(test.value)} ({low} to {high}), p {p}, {test.verdict}"


def p_words(p: float) -> str:
    """Return a p-value in three digits, "below 0.001" where it is smaller.

    >>> p_words(0.0312), p_words(1e-9)
    ('0.031', 'below 0.001')
    """
    return f"{p:.3f}" if p >= 0.001 else "below 0.001"


def _p(test: PairedTest) -> float:
    return test.p if math.isnan(test.adjusted) else test.adjusted


def _task(result: Comparison, task: TaskComparison) -> list[Block]:
    models = [
        ModelMetrics(run, "model" if place == 0 else "baseline", task.metrics[run])
        for place, run in enumerate(result.runs)
    ]
    seeds = max(s.seeds for found in task.metrics.values() for s in found.values())
    table = metrics_table(f"Metrics of {task.name}", "Run", task.shown(), models)
    return [
        table,
        Text("note", seeds_note(seeds)),
        Text("heading", f"Differences to {result.runs[0]}"),
        tests_table(task),
        Text("note", _NOTE),
    ]


def tests_table(task: TaskComparison) -> Table:
    """Return a row per run and test."""
    p = "p (Holm)" if len(task.tests) > 1 else "p"
    columns = ["Run", "Metric", "Difference", "95 % interval", p, "Test", "Verdict"]
    rows = [
        [
            run,
            title_of(test.metric),
            signed(test.value),
            f"{signed(test.low)} to {signed(test.high)}",
            NOT_DEFINED if math.isnan(test.p) else p_words(_p(test)),
            test.method,
            test.verdict,
        ]
        for run, tests in task.tests.items()
        for test in tests
    ]
    return Table(f"Tests of {task.name}", columns, rows)


def _curves(curves: Sequence[Curves]) -> Iterator[Block]:
    monitors = dict.fromkeys(one.monitor for one in curves if one.monitor)
    plots = [
        Plot(monitor, "", curves_plot(curves, monitor, name=f"curve{place}"), "epoch", monitor)
        for place, monitor in enumerate(monitors)
    ]
    loss = curves_plot(curves, None, name="loss")
    yield Plots([*plots, Plot("training loss", "", loss, "epoch", "loss")], "pair", "By epoch")
    keys = [Key(_key(i), one.run) for i, one in enumerate(curves)]
    yield Items("legend", keys)


def _key(place: int) -> str:
    colour = f"var(--series-{place})" if place < len(SERIES) else "var(--soft)"
    line = f'<path d="M0 6h26" style="stroke: {colour}; stroke-width: 2.2"/>'
    return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{line}</svg>'


def curves_plot(curves: Sequence[Curves], metric: str | None, *, name: str) -> str:
    """Return one line per seed over the epochs, in the colour of its run, as SVG.

    Args:
        curves: of the runs; those without the metric are not drawn.
        metric: "TASK.METRIC" of the validation rows; None draws the training loss.
        name: prefix of the SVG's ids, unique in its page.

    """
    figure = Figure(figsize=(4.4, 2.9), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(curves):
        colour = SERIES[place] if place < len(SERIES) else SOFT
        for training in one.trainings:
            points = [
                (epochs_of(r), r["train_loss"] if metric is None else r["valid"].get(metric))
                for r in training.history
            ]
            known = [(x, y) for x, y in points if y is not None]
            across, up = zip(*known, strict=True) if known else ((), ())
            axes.plot(across, up, ".-", color=colour, linewidth=1.4, markersize=4)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return inline_svg(figure, [axes], name=name)
