# pyright: reportUnknownMemberType=false
"""The plots of a report, as SVG to be put into the page.

Plots name their colours by the page's CSS variables, so they follow its light and dark theme.
Text stays text; no names given by users are drawn, the page sets them beside the plot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crosstower.evaluation.metrics.calibration import ReliabilityCurve
from crosstower.evaluation.metrics.registry import direction_of
from crosstower.evaluation.reports.content import CalibrationCurve, Training

# Placeholders, replaced in the SVG by the variables of the style sheet.
INK, SOFT, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
PAPER = "#090909"
SERIES = (ACCENT, "#050505", "#060606", "#070707", "#080808")
_VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    LINE: "--line",
    PAPER: "--paper",
    **{colour: f"--series-{i}" for i, colour in enumerate(SERIES)},
}
_MARKERS = ("o", "s", "^", "D", "v")


def reliability_plot(
    calibration: CalibrationCurve,
    *,
    name: str,
    percent: bool,
    before: ReliabilityCurve | None = None,
) -> str:
    """Return observed against predicted, above the histogram of the predictions, as SVG.

    `before` is the curve of the predictions as they were before they were calibrated.

    `name` makes the ids of the SVG unique in its page; `percent` writes the axes in per cent.
    """
    figure = Figure(figsize=(3.6, 3.5), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
    curve = calibration.curve
    top.axline((0.0, 0.0), slope=1.0, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    if before is not None:
        style = {"color": SERIES[1], "linewidth": 1.4, "markersize": 4, "label": "before"}
        top.plot(before.prediction, before.observed, "s--", **style)
    style = {"color": ACCENT, "linewidth": 1.8, "markersize": 4.5, "label": "calibrated"}
    top.plot(curve.prediction, curve.observed, "o-", **style)
    low, high = _shown_range(calibration, before)
    top.set_xlim(low, high)
    top.set_ylim(low, high)
    if before is not None:
        top.legend(frameon=False, labelcolor=INK, fontsize=9)
    top.set_ylabel("observed")
    width = np.diff(calibration.edges)
    bottom.bar(calibration.edges[:-1], calibration.counts, width, align="edge", color=ACCENT)
    bottom.set_ylabel("rows")
    bottom.set_xlabel("predicted")
    bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    top.yaxis.set_major_locator(MaxNLocator(6))
    bottom.xaxis.set_major_locator(MaxNLocator(5))
    if percent:
        bottom.xaxis.set_major_formatter(PercentFormatter(1.0))
        top.yaxis.set_major_formatter(PercentFormatter(1.0))
    return inline_svg(figure, [top, bottom], name=name)


def _shown_range(
    calibration: CalibrationCurve, before: ReliabilityCurve | None
) -> tuple[float, float]:
    """Return the range of all that is drawn, the same on both axes, with a margin."""
    curves = [calibration.curve, *([before] if before is not None else [])]
    drawn = [calibration.edges, *(c.prediction for c in curves), *(c.observed for c in curves)]
    values = np.concatenate(drawn)
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def training_plot(trainings: Sequence[Training], *, key: str | None, name: str) -> str:
    """Return one line a seed over the epochs, as SVG.

    `key` is a "TASK.METRIC" of the validation, whose best epoch gets a marker; None draws the
    training loss. Epochs count from 1.
    """
    figure = Figure(figsize=(3.6, 2.6), layout="constrained")
    axes = figure.subplots()
    for i, training in enumerate(trainings):
        epochs = [int(record["epoch"]) + 1 for record in training.history]
        values = [_value(record, key) for record in training.history]
        colour, label = SERIES[i % len(SERIES)], f"seed {training.seed}"
        axes.plot(epochs, values, linewidth=1.8, marker=".", color=colour, label=label)
        best = _best(values, key)
        if best is not None:
            marker = _MARKERS[i % len(_MARKERS)]
            axes.plot(epochs[best], values[best], marker, markersize=7, color=colour)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(trainings) > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return inline_svg(figure, [axes], name=name)


def _value(record: Mapping[str, Any], key: str | None) -> float:
    return float(record["train_loss"] if key is None else record["valid"].get(key, np.nan))


def _best(values: list[float], key: str | None) -> int | None:
    direction = direction_of((key or "").rpartition(".")[2])
    if direction is None or not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if direction == "higher" else np.nanargmin(values))


def inline_svg(figure: Figure, axes: Sequence[Axes], *, name: str) -> str:
    """Return a figure as SVG in the style of the page; `name` makes its ids unique there.

    Colours must be those of this file, which become the variables of the style sheet.
    """
    figure.patch.set_alpha(0.0)
    for one in axes:
        _style(one)
    buffer = io.StringIO()
    # The SVG writer reads these two from the settings alone; the context puts them back.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg")
    return _inline(buffer.getvalue(), name)


def _style(axes: Axes) -> None:
    axes.patch.set_alpha(0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(color=LINE, labelcolor=SOFT, labelsize=9)
    axes.grid(visible=True, axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(SOFT)
        label.set_fontsize(10)


def _inline(svg: str, name: str) -> str:
    """Return the bare element for an HTML page: own ids, theme colours, no namespace addresses."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'\sid="', f' id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg([^>]*?) width="[^"]*"', r"<svg\1", svg, count=1)
    svg = re.sub(r'<svg([^>]*?) height="[^"]*"', r"<svg\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
