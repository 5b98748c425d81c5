# pyright: reportUnknownMemberType=false
"""Display in a notebook: HTML tables of results, and figures of a run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from crosstower.evaluation.reports.blend_content import Distribution
from crosstower.evaluation.reports.content import CalibrationCurve, SeedHistory
from crosstower.evaluation.reports.plots import (
    Palette,
    draw_reliability,
    draw_training,
    style_axes,
)

_LIGHT = Palette(
    ink="#1c1c1c",
    soft="#5f6368",
    line="#c8ccd0",
    series=("#1f5fbf", "#c2571a", "#2e7d4f", "#8a4fae", "#8a6d00"),
)


class NotebookFigure(Figure):
    """A figure that notebooks show as a picture, whether or not pyplot is loaded."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110, facecolor="white")
        return buffer.getvalue()


@dataclass(frozen=True)
class Panel:
    """Row of a run's figure: a validation metric by epoch, and calibration if it is known.

    `key` is "TASK.METRIC" of the validation rows, `title` what the plot is called, `percent`
    whether the task predicts probabilities.
    """

    key: str | None
    title: str
    percent: bool = True
    calibration: CalibrationCurve | None = None


def run_figure(panels: Sequence[Panel], trainings: Sequence[SeedHistory]) -> Figure:
    """Return a figure with one row per panel: training curves left, calibration right.

    Args:
        panels: at least one.
        trainings: of the main model, one per seed.

    """
    calibrated = any(panel.calibration is not None for panel in panels)
    size = (8.0 if calibrated else 4.2, 3.4 * len(panels))
    figure = NotebookFigure(figsize=size, layout="constrained")
    rows = figure.subfigures(len(panels), 2 if calibrated else 1, squeeze=False)
    for panel, row in zip(panels, rows, strict=True):
        axes = [row[0].subplots()]
        draw_training(axes[0], trainings, key=panel.key, palette=_LIGHT)
        axes[0].set_title(panel.title, fontsize=10, color=_LIGHT.ink)
        if panel.calibration is not None:
            pair = row[1].subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
            draw_reliability(
                pair[0], pair[1], panel.calibration, percent=panel.percent, palette=_LIGHT
            )
            pair[0].set_title("calibration, test rows", fontsize=10, color=_LIGHT.ink)
            axes.extend(pair)
        for one in axes:
            style_axes(one, _LIGHT)
    return figure


def distribution_figure(distributions: Sequence[Distribution]) -> Figure:
    """Return a figure with one row per task: histograms by content type, before and after a blend.

    Args:
        distributions: at least one.

    """
    size, titles = (8.0, 2.8 * len(distributions)), ("prediction", "in the blend")
    figure = NotebookFigure(figsize=size, layout="constrained")
    axes = figure.subplots(len(distributions), 2, squeeze=False)
    for found, pair in zip(distributions, axes, strict=True):
        sides = (found.before, found.before_edges), (found.after, found.after_edges)
        for one, (counts, edges), words in zip(pair, sides, titles, strict=True):
            for number, (kind, count) in enumerate(counts.items()):
                colour = _LIGHT.series[number % len(_LIGHT.series)]
                shares = count / max(count.sum(), 1.0)
                one.stairs(shares, edges, color=colour, label=kind)
            one.set_title(f"{found.task}: {words}, share of rows", fontsize=10, color=_LIGHT.ink)
            style_axes(one, _LIGHT)
        pair[0].legend(fontsize=8, frameon=False)
    return figure


def html_table(
    title: str,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    notes: Sequence[str] = (),
    links: Sequence[Path] = (),
) -> str:
    """Return a compact table for a notebook; every value is escaped.

    >>> print(html_table("run", ["", "AUC"], [["a<b", "0.71"]]))  # doctest: +ELLIPSIS
    <div><div><b>run</b></div>...<td style="text-align:left">a&lt;b</td><td>0.71</td>...

    Args:
        title: above the table.
        names: of the columns; those with text are left-aligned, those with numbers right-aligned.
        rows: cells.
        notes: sentences below the table.
        links: files to link to.

    """
    text = [not all(_is_number(cell) for cell in column) for column in zip(*rows, strict=True)]
    head = _cells("th", names, text)
    body = "".join(f"<tr>{_cells('td', row, text)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    under = "".join(f"<div>{escape(note)}</div>" for note in notes)
    linked = " · ".join(_link(path) for path in links)
    return f"<div><div><b>{escape(title)}</b></div>{table}{under}<div>{linked}</div></div>"


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "–+-−"


def _cells(tag: str, row: Sequence[str], text: Sequence[bool]) -> str:
    left = ' style="text-align:left"'
    pairs = zip(row, text, strict=True)
    return "".join(f"<{tag}{left if words else ''}>{escape(c)}</{tag}>" for c, words in pairs)


def _link(path: Path) -> str:
    """Return a link to a file: relative where the user's path is, which notebooks can follow."""
    target = path.as_uri() if path.is_absolute() else path.as_posix()
    return f'<a href="{escape(target, quote=True)}" target="_blank">{escape(str(path))}</a>'
