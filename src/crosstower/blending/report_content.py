"""Files that a blend writes to its run folder: the page, the rows in order, and metrics."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import yaml

from crosstower.blending.blender import FittedBlend
from crosstower.blending.columns import types_of
from crosstower.blending.comparison import ComparisonSpec, Measured, shares_by_rank, type_column
from crosstower.blending.held_out import HeldOut
from crosstower.blending.pareto import weight_sweep
from crosstower.blending.tuning import Tuned
from crosstower.data.content_types import ContentTypes
from crosstower.evaluation.reports.blend_content import BlendContent, Distribution
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.recipe.blend import Blend
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.own_columns import BLEND_SCORE, PREDICTION
from crosstower.values.arrays import Floats
from crosstower.values.instants import minute_text

_BINS = 60
_MOST_TYPES = 5


def page_content(
    title: str,
    comparison: ComparisonSpec,
    fitted: FittedBlend,
    rows: HeldOut,
    measured: list[Measured],
    *,
    orders: tuple[ModelMetrics, ...],
    tuned: Tuned | None,
    sentences: tuple[str, ...],
    notes: tuple[str, ...],
) -> BlendContent:
    """Return everything that the page shows: the orders over seeds, the rest of the first one."""
    blend, utility = fitted.spec, comparison.utility
    by = type_column(blend, utility)
    return BlendContent(
        title=title,
        date=minute_text(datetime.now(UTC)),
        blend=_yaml(blend),
        rows=rows.test.height,
        users=rows.test[comparison.user].drop_nulls().n_unique(),
        user=comparison.user,
        k=comparison.k,
        utility=None if utility is None else _yaml(utility),
        sentences=sentences,
        orders=orders,
        by=by,
        shares=shares_by_rank(measured, rows.test, by, comparison.k),
        distributions=tuple(_distributions(fitted, rows.test, by)),
        front=_front(blend, comparison, rows, tuned),
        notes=notes,
    )


def ordered_rows(
    fitted: FittedBlend, frame: pl.DataFrame, measured: Measured, user: str
) -> pl.DataFrame:
    """Return the rows list by list: rank, score, contribution per task, and original columns."""
    parts = {f"{task}__part": part for task, part in fitted.parts(frame).items()}
    table = frame.with_columns(
        pl.Series("rank", measured.rank),
        pl.Series(BLEND_SCORE, fitted.score(frame)),
        *[pl.Series(name, part) for name, part in parts.items()],
    )
    first = [user, "rank", BLEND_SCORE, *parts]
    others = [c for c in table.columns if c not in first]
    return table.select(*first, *others).filter(pl.col("rank") > 0).sort(user, "rank")


def _front(
    blend: Blend, comparison: ComparisonSpec, rows: HeldOut, tuned: Tuned | None
) -> pl.DataFrame | None:
    """Return the blends tried, or other weights than those by hand, measured on validation rows."""
    if tuned is not None:
        table = tuned.trials
        chosen = table["utility"] == tuned.utility
        front = table["trial"].is_in(tuned.pareto["trial"].to_list())
        table = table.with_columns(
            chosen=chosen & chosen.cum_sum().eq(1) & table["feasible"], front=front
        )
    else:
        if sum(weight != 0.0 for weight in blend.weights.values()) < 2:
            return None
        kinds = comparison.schema.kinds()
        plain = blend.model_copy(update={"diversity": None})
        table = weight_sweep(
            plain, kinds, rows.valid, rows.valid, user=comparison.user, k=comparison.k
        )
        table = table.rename({"by_hand": "chosen"}).with_columns(feasible=pl.lit(value=True))
    names = {c: f"ndcg.{c.removesuffix('__ndcg')}" for c in table.columns if c.endswith("__ndcg")}
    kept = [c for c in ("utility", "front", "chosen", "feasible") if c in table.columns]
    return table.rename(names).select(*names.values(), *kept)


def _distributions(fitted: FittedBlend, frame: pl.DataFrame, by: str | None) -> list[Distribution]:
    """Return histograms of each task's predictions and contributions, per content type."""
    places = [("all", np.arange(frame.height))]
    if by is not None:
        types = types_of(frame, by)
        common = types.drop_nulls().value_counts(sort=True)["type"].head(_MOST_TYPES)
        typed = ContentTypes.of(types).rows_of(common.sort())
        places = [(kind, rows) for kind, rows in typed if kind is not None]
    found: list[Distribution] = []
    for task, part in fitted.parts(frame).items():
        x = frame[f"{task}{PREDICTION}"].to_numpy()
        finite = np.where(np.isfinite(part), part, np.nan)
        before, after = _edges(x), _edges(finite)
        found.append(
            Distribution(
                task,
                {kind: _counts(x[rows], before) for kind, rows in places},
                before,
                {kind: _counts(finite[rows], after) for kind, rows in places},
                after,
            )
        )
    return found


def _edges(x: Floats) -> Floats:
    known = x[np.isfinite(x)]
    return np.histogram_bin_edges(known if len(known) else np.zeros(1), bins=_BINS)


def _counts(x: Floats, edges: Floats) -> Floats:
    return np.histogram(x[np.isfinite(x)], bins=edges)[0].astype(np.float64)


def _yaml(section: FrozenModel) -> str:
    plain = section.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
