# pyright: reportUnknownMemberType=false
"""The plots of a tuning run's page: values by trial, and parallel coordinates, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosstower.evaluation.reports.plots import ACCENT, INK, LINE, SERIES, SOFT, inline_svg
from crosstower.fitting.tuning.space import encoded
from crosstower.recipe.tune import Dimension

_MOST_AXES = 8
_BEST = SERIES[1]


def history_plot(trials: pl.DataFrame, *, higher: bool, name: str) -> str:
    """Return the value of each trial, and the best so far as a line, as SVG.

    Args:
        trials: of a result; those without a value are left out.
        higher: whether higher values are better.
        name: prefix of the SVG's ids, unique in its page.

    """
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.subplots()
    for state, marker, alpha in (("pruned", "x", 0.6), ("complete", "o", 1.0)):
        rows = trials.filter(pl.col("state") == state, pl.col("value").is_finite())
        colour = SOFT if state == "pruned" else ACCENT
        numbers, values = rows["trial"].to_list(), rows["value"].to_list()
        axes.plot(numbers, values, marker, markersize=4.5, alpha=alpha, color=colour, label=state)
    complete = trials.filter(pl.col("state") == "complete")
    if complete.height:
        best = complete["value"].cum_max() if higher else complete["value"].cum_min()
        style: dict[str, Any] = {"where": "post", "linewidth": 1.6, "label": "best so far"}
        axes.step(complete["trial"].to_list(), best.to_list(), color=_BEST, **style)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return inline_svg(figure, [axes], name=name)


@dataclass(frozen=True)
class Axis:
    """One vertical axis: its name, the height of each trial in [0, 1] (NaN: none), and labels."""

    name: str
    heights: Sequence[float]
    labels: Sequence[tuple[float, str]]


def axis_of(key: str, dimension: Dimension, values: Sequence[Any]) -> Axis:
    """Return the axis of an option.

    Args:
        key: of the option.
        dimension: of the space.
        values: of the trials, as in the table of a result.

    """
    if dimension.choices:
        names = [_cell(choice) for choice in dimension.choices]
        top = max(len(names) - 1, 1)
        heights = [names.index(_cell(v)) / top if _cell(v) in names else math.nan for v in values]
        return Axis(key, heights, [(i / top, name) for i, name in enumerate(names)])
    scale = math.log if dimension.log else float
    low, high = (scale(float(end)) for end in dimension.ends())
    heights = [math.nan if v is None else (scale(float(v)) - low) / (high - low) for v in values]
    ends = [(float(i), f"{end:.3g}") for i, end in enumerate(dimension.ends())]
    return Axis(key, heights, ends)


def value_axis(name: str, values: Sequence[float]) -> Axis:
    """Return the axis of the monitored metric, from the lowest to the highest value."""
    low, high = min(values), max(values)
    width = (high - low) or 1.0
    ends = [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
    return Axis(name, [(value - low) / width for value in values], ends)


def parallel_plot(axes_of: Sequence[Axis], *, best: int, good: Sequence[bool], name: str) -> str:
    """Return one line per trial over vertical axes, as SVG.

    Args:
        axes_of: options, then the metric; of more than eight options the first ones.
        best: place of the best trial in the axes' heights.
        good: whether each trial is among the best quarter, which is drawn in colour.
        name: prefix of the SVG's ids, unique in its page.

    """
    shown = [*axes_of[:-1][:_MOST_AXES], axes_of[-1]]
    figure = Figure(figsize=(max(7.2, 1.25 * len(shown)), 3.6), layout="constrained")
    axes = figure.subplots()
    lines = np.array([axis.heights for axis in shown])  # [axes, trials]
    places = range(len(shown))
    for number in np.argsort(good, kind="stable"):
        colour, alpha = (ACCENT, 0.7) if good[number] else (SOFT, 0.25)
        axes.plot(places, lines[:, number], color=colour, alpha=alpha, linewidth=1.2)
    axes.plot(places, lines[:, best], color=_BEST, linewidth=2.6)
    for place, axis in enumerate(shown):
        axes.axvline(place, color=LINE, linewidth=1)
        for height, words in axis.labels:
            style: dict[str, Any] = {"fontsize": 8, "color": SOFT, "va": "center"}
            label = axes.text(place + 0.04, height, words[:14], parse_math=False, **style)
            label.set_in_layout(False)
    labels = [axis.name.replace(".", ".\n") for axis in shown]
    axes.set_xticks(list(places), labels, parse_math=False)
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(shown) - 0.6)
    return inline_svg(figure, [axes], name=name)


def _cell(value: Any) -> Any:
    plain = list(value) if isinstance(value, tuple) else value
    return encoded(plain) if isinstance(plain, list | dict) else str(plain)
