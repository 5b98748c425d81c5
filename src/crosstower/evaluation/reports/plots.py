# pyright: reportUnknownMemberType=false
"""The plots of a report: drawn on axes, and as SVG for the page.

The SVG refers to colours by the page's CSS variables, so it follows the light and dark theme. Text
stays text; names given by users are never drawn into it: the page prints them next to the plot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crosstower.evaluation.metrics.calibration import ReliabilityCurve
from crosstower.evaluation.metrics.registry import direction_of
from crosstower.evaluation.reports.content import CalibrationCurve, SeedHistory, epochs_of

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


@dataclass(frozen=True)
class Palette:
    """Colours of a plot: text, secondary text, lines, and one per series."""

    ink: str
    soft: str
    line: str
    series: tuple[str, ...]


_PAGE = Palette(INK, SOFT, LINE, SERIES)


def reliability_plot(
    calibration: CalibrationCurve,
    *,
    name: str,
    percent: bool,
    before: ReliabilityCurve | None = None,
) -> str:
    """Return observed against predicted values above a histogram of the predictions, as SVG.

    Args:
        calibration: to draw.
        name: prefix of the SVG's ids, unique in its page.
        percent: label the axes in per cent.
        before: curve of the predictions before calibration.

    """
    figure = Figure(figsize=(3.6, 3.5), layout="constrained")
    axes = figure.subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
    draw_reliability(axes[0], axes[1], calibration, percent=percent, before=before, palette=_PAGE)
    return inline_svg(figure, list(axes), name=name)


def draw_reliability(
    top: Axes,
    bottom: Axes,
    calibration: CalibrationCurve,
    *,
    percent: bool,
    palette: Palette,
    before: ReliabilityCurve | None = None,
) -> None:
    """Draw observed against predicted values, and below it a histogram of the predictions.

    Args:
        top: axes of the curve.
        bottom: axes of the histogram, with the same x axis.
        calibration: to draw.
        percent: label the axes in per cent.
        palette: colours.
        before: curve of the predictions before calibration.

    """
    curve, accent = calibration.curve, palette.series[0]
    top.axline((0.0, 0.0), slope=1.0, color=palette.soft, linewidth=1, linestyle=(0, (4, 3)))
    style: dict[str, Any]
    if before is not None:
        style = {"color": palette.series[1], "linewidth": 1.4, "markersize": 4, "label": "before"}
        top.plot(before.prediction, before.observed, "s--", **style)
    style = {"color": accent, "linewidth": 1.8, "markersize": 4.5, "label": "calibrated"}
    top.plot(curve.prediction, curve.observed, "o-", **style)
    low, high = _shown_range(calibration, before)
    top.set_xlim(low, high)
    top.set_ylim(low, high)
    if before is not None:
        top.legend(frameon=False, labelcolor=palette.ink, fontsize=9)
    top.set_ylabel("observed")
    width = np.diff(calibration.edges)
    bottom.bar(calibration.edges[:-1], calibration.counts, width, align="edge", color=accent)
    bottom.set_ylabel("rows")
    bottom.set_xlabel("predicted")
    bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    top.yaxis.set_major_locator(MaxNLocator(6))
    bottom.xaxis.set_major_locator(MaxNLocator(5))
    if percent:
        bottom.xaxis.set_major_formatter(PercentFormatter(1.0))
        top.yaxis.set_major_formatter(PercentFormatter(1.0))


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


def training_plot(trainings: Sequence[SeedHistory], *, key: str | None, name: str) -> str:
    """Return one line per seed over the epochs, as SVG.

    Args:
        trainings: one per seed.
        key: see `draw_training`.
        name: prefix of the SVG's ids, unique in its page.

    """
    figure = Figure(figsize=(3.6, 2.6), layout="constrained")
    axes = figure.subplots()
    draw_training(axes, trainings, key=key, palette=_PAGE)
    return inline_svg(figure, [axes], name=name)


def draw_training(
    axes: Axes, trainings: Sequence[SeedHistory], *, key: str | None, palette: Palette
) -> None:
    """Draw one line per seed over the epochs, which count from 1.

    Args:
        axes: to draw on.
        trainings: one per seed.
        key: "TASK.METRIC" of the validation rows, whose best epoch gets a marker; None draws the
            training loss.
        palette: colours.

    """
    for i, training in enumerate(trainings):
        epochs = [epochs_of(record) for record in training.history]
        values = [_value(record, key) for record in training.history]
        colour, label = palette.series[i % len(palette.series)], f"seed {training.seed}"
        axes.plot(epochs, values, linewidth=1.8, marker=".", color=colour, label=label)
        best = _best(values, key)
        if best is not None:
            marker = _MARKERS[i % len(_MARKERS)]
            axes.plot(epochs[best], values[best], marker, markersize=7, color=colour)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(trainings) > 1:
        axes.legend(frameon=False, labelcolor=palette.ink, fontsize=9)


def _value(record: Mapping[str, Any], key: str | None) -> float:
    return float(record["train_loss"] if key is None else record["valid"].get(key, np.nan))


def _best(values: list[float], key: str | None) -> int | None:
    direction = direction_of((key or "").rpartition(".")[2])
    if direction is None or not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if direction == "higher" else np.nanargmin(values))


def inline_svg(figure: Figure, axes: Sequence[Axes], *, name: str) -> str:
    """Return a figure as SVG in the style of the page.

    Args:
        figure: drawn in the colours of this file, which become variables of the style sheet.
        axes: all axes of the figure.
        name: prefix of the SVG's ids, unique in its page.

    """
    figure.patch.set_alpha(0.0)
    for one in axes:
        one.patch.set_alpha(0.0)
        style_axes(one, _PAGE)
    buffer = io.StringIO()
    # The SVG writer reads these two from the settings alone; the context puts them back.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg")
    return _inline(buffer.getvalue(), name)


def style_axes(axes: Axes, palette: Palette) -> None:
    """Draw spines, ticks, grid and labels of axes in the style of the reports."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.line)
    axes.tick_params(color=palette.line, labelcolor=palette.soft, labelsize=9)
    axes.grid(visible=True, axis="y", color=palette.line, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(palette.soft)
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
