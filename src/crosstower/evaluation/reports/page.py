"""The skeleton of every page: one HTML file that works offline, on a phone and on paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from crosstower.errors import RunError
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.storage.files import write_atomic
from crosstower.values.addresses.address import Address, Place

NOT_DEFINED = "\N{EN DASH}"


@dataclass(frozen=True)
class Text:
    """A heading within a section, a paragraph, a note in small type, or a source as it is."""

    kind: Literal["heading", "text", "note", "source"]
    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences, or of the keys of a legend."""

    kind: Literal["verdicts", "notes", "legend"]
    items: Sequence[str] | Sequence[Key]


@dataclass(frozen=True)
class Facts:
    """A list of names and values."""

    items: Sequence[tuple[str, str]]
    kind: ClassVar = "facts"


@dataclass(frozen=True)
class Key:
    """An entry of a legend; `svg` is ours, `label` may be a name of the user's."""

    svg: str
    label: str


@dataclass(frozen=True)
class Table:
    """A table: the first column names the rows, the others hold numbers as text.

    Args:
        label: read aloud before the table.
        columns: the head.
        rows: cells; every line of a cell after the first is set in small type.
        roles: of the rows, which decide their weight and colour.

    """

    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    roles: Sequence[str] = ()
    kind: ClassVar = "table"


@dataclass(frozen=True)
class Card:
    """A result in short: a large value, and the same of the others below it."""

    title: str
    section: str
    value: str
    metric: str
    others: Sequence[tuple[str, str]]

    @staticmethod
    def of(
        title: str, section: str, metric: str, models: Sequence[ModelMetrics], *, words: str = ""
    ) -> Card:
        """Return the card of a metric, with the first model's mean on top.

        Args:
            title: of the card.
            section: id of the section that it links to.
            metric: name.
            models: with their metrics over seeds.
            words: said before the name of the first model.

        """
        model, *others = models
        below = [(other.name, _mean(other, metric)) for other in others]
        return Card(title, section, _mean(model, metric), f"{words}{model.name}", below)


@dataclass(frozen=True)
class Plot:
    """A plot and its caption; `across` and `up` name the axes where the user's names do."""

    title: str
    description: str
    svg: str
    across: str = ""
    up: str = ""


@dataclass(frozen=True)
class Plots:
    """Plots side by side, `subject` being read aloud before each title."""

    plots: Sequence[Plot]
    size: Literal["", "pair", "narrow", "wide"] = ""
    subject: str = ""
    kind: ClassVar = "plots"


Block = Text | Items | Facts | Table | Plots


@dataclass(frozen=True)
class Section:
    """A part of a page under one heading."""

    id: str
    title: str
    blocks: Sequence[Block]
    small: str = ""


def write_page(path: Place, html: str) -> Place:
    """Write a page as one file; missing folders are created.

    Args:
        path: or address of the file.
        html: its content.

    Raises:
        RunError: the file cannot be written.

    """
    try:
        if isinstance(path, Address):
            write_atomic(path, html.encode())
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"report {path}: cannot be written ({error.strerror or error}); free some space or"
            " choose another folder"
        ) from error
    return path


def render_page(
    kicker: str, title: str, lead: str, sections: Iterable[Section], cards: Sequence[Card] = ()
) -> str:
    """Return a page, which refers to nothing outside itself; every value but SVG is escaped.

    Args:
        kicker: above the title.
        title: of the page.
        lead: below the title.
        sections: one without blocks is left out.
        cards: the results in short.

    """
    environment = Environment(
        loader=PackageLoader("crosstower.evaluation.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        kicker=kicker,
        title=title,
        lead=lead,
        cards=cards,
        sections=[section for section in sections if section.blocks],
    )


def metrics_table(
    label: str, first: str, titles: Mapping[str, str], models: Sequence[ModelMetrics]
) -> Table:
    """Return a row per model and a column per metric.

    Args:
        label: of the table.
        first: title of the first column.
        titles: of the metrics shown, by name.
        models: with their metrics over seeds.

    """
    rows = [[model.name, *(_metric(model, name) for name in titles)] for model in models]
    return Table(label, [first, *titles.values()], rows, [model.role for model in models])


def frame_table(label: str, columns: Sequence[str], frame: pl.DataFrame) -> Table:
    """Return the rows of a frame; a null name reads "missing"."""
    rows = [
        ["missing" if name is None else str(name), *map(number, values)]
        for name, *values in frame.iter_rows()
    ]
    return Table(label, columns, rows)


def seeds_note(seeds: int) -> str:
    """Return the sentence about seeds below a table of metrics."""
    if seeds == 1:
        return "One seed."
    return f"Mean ± standard deviation over {seeds} seeds; no ± where they agree."


def count(rows: int) -> str:
    """Return a count with separators."""
    return f"{rows:,}"


def number(value: float, digits: int = 4) -> str:
    """Return a number, a whole one without decimals; a dash if it is not defined."""
    if isinstance(value, int):
        return count(value)
    return NOT_DEFINED if math.isnan(value) else f"{value:,.{digits}f}"


def signed(value: float, digits: int = 4) -> str:
    """Return a number with its sign."""
    if math.isnan(value):
        return NOT_DEFINED
    return f"{value:+,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float, digits: int = 1) -> str:
    """Return a share in per cent."""
    return NOT_DEFINED if math.isnan(value) else f"{number(100.0 * value, digits)} %"


def signed_percent(value: float, digits: int = 2) -> str:
    """Return a share in per cent with its sign."""
    return NOT_DEFINED if math.isnan(value) else f"{signed(100.0 * value, digits)} %"


def _mean(model: ModelMetrics, metric: str) -> str:
    return number(model.metrics[metric].mean) if metric in model.metrics else NOT_DEFINED


def _metric(model: ModelMetrics, metric: str) -> str:
    """Return mean, spread and interval on a line each, without those that are undefined."""
    if metric not in model.metrics:
        return NOT_DEFINED
    summary = model.metrics[metric]
    low, high = model.intervals.get(metric, (math.nan, math.nan))
    lines = [_shown(metric, summary.mean)]
    if summary.sd:
        lines.append(f"± {_shown(metric, summary.sd)}")
    if not math.isnan(low) and not math.isnan(high):
        lines.append(f"{_shown(metric, low).removesuffix(' %')} to {_shown(metric, high)}")
    return "\n".join(lines)


def _shown(metric: str, value: float) -> str:
    if metric.startswith("share."):
        return percent(value)
    return number(value, 3 if metric.startswith(("total.", "expected.")) else 4)
