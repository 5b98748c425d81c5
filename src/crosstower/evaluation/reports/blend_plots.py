# pyright: reportUnknownMemberType=false
"""The plots of a blend's page, and the keys of its legends, as SVG to be put into the page.

Types differ in colour, and in lightness (areas) or dashes (lines) for readers without colour. No
names are drawn: the page shows them next to the plot, with `type_key`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from crosstower.evaluation.reports.plots import ACCENT, LINE, PAPER, SERIES, SOFT, inline_svg
from crosstower.values.arrays import Floats

MOST_TYPES = len(SERIES)
"""Types with a colour of their own; a plot shows the rest as one, in grey."""

PointKind = Literal["tried", "infeasible", "front", "chosen"]

Flags = NDArray[np.bool_]

_OPACITY = (1.0, 0.4, 0.75, 0.25, 0.6, 1.0)
_STEPS = (1, 2, 2.5, 5, 10)
_DASHES = ((), (5.0, 1.6), (1.4, 1.4), (7.0, 1.6, 1.4, 1.6), (2.6, 2.6), ())
_KEY = '<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{}</svg>'


def share_plot(ranks: NDArray[np.int64], shares: Floats, *, name: str) -> str:
    """Return the share of each type at each rank as stacked bars, the first type at the bottom.

    Args:
        ranks: `[R]` places of the lists, from 1.
        shares: `[types, R]` in [0, 1]; a row after the first `MOST_TYPES` is all other types.
        name: makes the ids of the SVG unique in its page.

    """
    figure = Figure(figsize=(3.1, 2.3), layout="constrained")
    axes = figure.subplots()
    axes.bar(ranks, shares.sum(axis=0), 0.86, color=PAPER)  # hides the grid behind pale areas
    base = np.zeros(len(ranks))
    for number, share in enumerate(shares):
        style: dict[str, Any] = {"color": _colour(number), "alpha": _OPACITY[number]}
        axes.bar(ranks, share, 0.86, bottom=base, **style)
        base = base + share
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    axes.set_xticks(ranks[:: -(-len(ranks) // 10) or 1])
    axes.set_xlabel("place in the list")
    return inline_svg(figure, [axes], name=name)


def histogram_plot(counts: Floats, edges: Floats, *, name: str, label: str) -> str:
    """Return one step histogram per type, as shares of the type's rows, so that shapes compare.

    Args:
        counts: `[types, bins]` rows; a type without rows is not drawn, and a row after the first
            `MOST_TYPES` is all other types.
        edges: `[bins + 1]` bounds of the bins, ascending.
        name: makes the ids of the SVG unique in its page.
        label: of the horizontal axis.

    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    for number, rows in enumerate(counts):
        if rows.sum() > 0.0:
            dashes: Any = (0, _DASHES[number]) if _DASHES[number] else "solid"
            style: dict[str, Any] = {"color": _colour(number), "linestyle": dashes}
            axes.stairs(rows / rows.sum(), edges, baseline=None, linewidth=1.5, **style)
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    axes.set_xlabel(label)
    _plain_numbers(axes.xaxis)
    return inline_svg(figure, [axes], name=name)


def front_plot(points: Floats, *, front: Flags, chosen: Flags, feasible: Flags, name: str) -> str:
    """Return a plot of blends by two tasks: all as dots, the best of them joined by a line.

    Blends on the front are in colour, and those that break a constraint are crosses. The line joins
    the blends of the front that no other of them beats in these two tasks: with two tasks in all
    the whole front.

    Args:
        points: `[blends, 2]`, across and up, higher being better; finite.
        front: `[blends]` whether a blend is on the front of all tasks.
        chosen: `[blends]` whether it is the one that was chosen.
        feasible: `[blends]` whether it keeps to all constraints.
        name: makes the ids of the SVG unique in its page.

    """
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for marker, allowed in (("o", feasible), ("x", ~feasible)):
        axes.plot(*points[~front & allowed].T, marker, markersize=4, color=SOFT, alpha=0.5)
        axes.plot(*points[front & allowed].T, marker, markersize=4, color=ACCENT)
    axes.plot(*_outline(points[front]).T, color=ACCENT, linewidth=1.4)
    mark: dict[str, Any] = {"color": SERIES[1], "markeredgecolor": PAPER, "markersize": 8}
    axes.plot(*points[chosen].T, "D", **mark)
    for axis in (axes.xaxis, axes.yaxis):
        _plain_numbers(axis)
    axes.grid(visible=True, axis="x", color=LINE, linewidth=0.6)
    return inline_svg(figure, [axes], name=name)


def type_key(number: int, *, line: bool) -> str:
    """Return the key of type `number` in a legend: a piece of its line, or of its area."""
    colour = f"var(--series-{number})" if number < MOST_TYPES else "var(--soft)"
    if line:
        dashes = " ".join(f"{1.5 * length:g}" for length in _DASHES[number]) or "none"
        style = f"stroke: {colour}; stroke-width: 2.2; stroke-dasharray: {dashes}"
        return _KEY.format(f'<path d="M0 6h26" style="{style}"/>')
    style = f"fill: {colour}; opacity: {_OPACITY[number]:g}"
    return _KEY.format(f'<rect width="26" height="12" rx="2" style="{style}"/>')


def point_key(kind: PointKind) -> str:
    """Return the key of a kind of point of `front_plot` in a legend."""
    return _KEY.format(
        {
            "tried": '<circle cx="13" cy="6" r="3" style="fill: var(--soft); opacity: 0.5"/>',
            "infeasible": '<path d="M10 3l6 6m0 -6l-6 6" style="stroke: var(--soft)"/>',
            "front": '<path d="M0 6h26" style="stroke: var(--series-0); stroke-width: 1.5"/>'
            '<circle cx="13" cy="6" r="3" style="fill: var(--series-0)"/>',
            "chosen": '<path d="M13 0l6 6l-6 6l-6 -6z" style="fill: var(--series-1)"/>',
        }[kind]
    )


def _colour(number: int) -> str:
    return SERIES[number] if number < MOST_TYPES else SOFT


def _percent(value: float, _position: float) -> str:
    return f"{100.0 * value:.3g}%"


def _outline(points: Floats) -> Floats:
    """Return the points that no other beats in both coordinates, from left to right."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))[::-1]]  # right first, then the higher
    best = np.maximum.accumulate(ordered[:, 1])
    above = np.append(np.full(min(len(points), 1), True), ordered[1:, 1] > best[:-1])
    return ordered[above][::-1]


def _plain_numbers(axis: Any) -> None:
    """Write ticks in full: no offset or power of ten, which are small and easily overlooked."""
    axis.set_major_locator(MaxNLocator(5))
    axis.get_major_formatter().set_useOffset(False)
    axis.get_major_formatter().set_scientific(False)
