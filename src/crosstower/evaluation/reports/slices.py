"""Metrics per value of a column: where the model works and where it does not. No torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import DataError, did_you_mean
from crosstower.evaluation.metrics.auc import group_ids, grouped_auc_of
from crosstower.evaluation.metrics.binary import log_losses
from crosstower.recipe.arguments import count_of
from crosstower.recipe.tasks import HeadKind


def slice_table(
    frame: pl.DataFrame,
    *,
    column: str,
    label: str,
    prediction: str,
    kind: HeadKind = "binary",
    top: int = 10,
    numbers_are_names: bool = False,
) -> pl.DataFrame:
    """Return one row per slice of `column`, over the rows that have a label.

    Numbers are cut into at most `top` ranges of about equal mass; other values, and numbers that
    are names such as ids, give one slice for each of the `top` most frequent and one for the
    rest. Missing values are a slice of their own, the last one.

    Args:
        frame: the predictions, with the three columns named.
        column: to slice by, single-valued.
        label: name of the label column; null or NaN where missing.
        prediction: name of the prediction column.
        kind: of the task; decides the metrics.
        top: slices at most, the rest and the missing values not counted; at least 1.
        numbers_are_names: take numbers as names instead of cutting them into ranges.

    Returns:
        Columns `slice` (text), `rows`, `mean_label`, `mean_prediction`, `calibration_ratio`, and
        `auc` and `log_loss` of a binary task, `mae` and `rmse` of the others. NaN is not defined.

    Raises:
        DataError: a column is missing or holds lists, or `top` is below 1.

    """
    _check(frame, [column, label, prediction], top)
    y, p = pl.col(label).cast(pl.Float64), pl.col(prediction).cast(pl.Float64)
    rows = frame.select(value=pl.col(column), y=y, p=p).filter(pl.col("y").is_not_null())
    rows = rows.filter(pl.col("y").is_not_nan())
    ranged = rows["value"].dtype.is_numeric() and not numbers_are_names
    values = rows["value"]
    code, names = _ranges(values, top) if ranged else _values(group_ids(values), top)
    coded = rows.select("y", "p", code=code)
    if kind == "binary":
        losses = log_losses(rows["y"].to_numpy(), rows["p"].to_numpy())
        coded = coded.with_columns(log_loss=losses)
    table = coded.group_by("code", maintain_order=True).agg(*_aggregates(kind)).sort("code")
    titles = pl.Series("slice", [names[c] for c in table["code"]], dtype=pl.String)
    return table.drop("code").insert_column(0, titles)


def _check(frame: pl.DataFrame, columns: list[str], top: int) -> None:
    for name in columns:
        if name not in frame.columns:
            raise DataError(
                f"slices: the predictions have no column '{name}'"
                f"{did_you_mean(name, frame.columns)}; they have: {', '.join(frame.columns)}"
            )
        if frame[name].dtype.is_nested():
            raise DataError(
                f"slices: column '{name}' holds {frame[name].dtype}, expected one value per row;"
                " slice by a single-valued column"
            )
    count_of("slices: top", top, error=DataError)


def _values(values: pl.Series, top: int) -> tuple[pl.Series, list[str]]:
    """Return the slice of each row, most frequent first, and the slices' names."""
    counts = values.drop_nulls().to_frame("value").group_by("value").len()
    counts = counts.sort("len", "value", descending=[True, False])
    kept, others = counts["value"].head(top), max(counts.height - top, 0)
    places = pl.DataFrame({"value": kept, "code": range(len(kept))}, schema_overrides=_CODE)
    joined = values.to_frame("value").join(places, on="value", how="left", maintain_order="left")
    rest = pl.when(pl.col("value").is_null()).then(len(kept) + 1).otherwise(len(kept))
    code = joined.select(pl.col("code").fill_null(rest.cast(pl.UInt32)))["code"]
    names = kept.cast(pl.String).to_list()
    return code, [*names, f"other ({others:,} values)", "missing"]


def _ranges(values: pl.Series, top: int) -> tuple[pl.Series, list[str]]:
    """Return the quantile range of each row, in increasing order, and the ranges' names."""
    numbers = values.cast(pl.Float64).fill_nan(None)
    known = numbers.drop_nulls().to_numpy()
    if len(known) == 0:
        return pl.repeat(0, len(values), dtype=pl.UInt32, eager=True), ["missing"]
    quantiles = np.linspace(0.0, 1.0, top + 1)
    ends = np.unique(np.quantile(known, quantiles, method="inverted_cdf")[1:])
    code = np.searchsorted(ends, numbers.fill_null(np.inf).to_numpy(), side="left")
    code[numbers.is_null().to_numpy()] = len(ends)
    starts: list[Any] = [known.min(), *ends[:-1]]
    pairs = zip(starts, ends, strict=True)
    names = [_range_name(low, high, first=i == 0) for i, (low, high) in enumerate(pairs)]
    return pl.Series(code, dtype=pl.UInt32), [*names, "missing"]


def _range_name(low: float, high: float, *, first: bool) -> str:
    start, end = (f"{v:,.0f}" if v.is_integer() else f"{v:g}" for v in (float(low), float(high)))
    if low == high:
        return end
    return f"{start} to {end}" if first else f"above {start} to {end}"


def _aggregates(kind: HeadKind) -> list[pl.Expr]:
    y, p = pl.col("y"), pl.col("p")
    ratio = pl.when(y.mean() == 0).then(float("nan")).otherwise(p.mean() / y.mean())
    shared = [
        pl.len().alias("rows"),
        y.mean().alias("mean_label"),
        p.mean().alias("mean_prediction"),
        ratio.alias("calibration_ratio"),
    ]
    if kind == "binary":
        return [*shared, grouped_auc_of("y", "p"), pl.col("log_loss").mean()]
    error = y - p
    return [*shared, error.abs().mean().alias("mae"), (error**2).mean().sqrt().alias("rmse")]


_CODE = {"code": pl.UInt32}
