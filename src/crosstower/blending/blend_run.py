"""Blend a run: fit on the validation rows, compare orders on the test rows, write the results.

- `RUN/models/NAME/seed-S/blend.json`: the fitted blend per model and seed, which scoring then uses
- `RUN/blended.parquet`: the test rows in order, first seed
- `RUN/blended.json`: spec, metrics and findings
- `RUN/blend.html`: the page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crosstower.blending.blender import FittedBlend, fit_blend
from crosstower.blending.comparison import ComparisonSpec, Measured, compare
from crosstower.blending.held_out import (
    HeldOut,
    check_ranks,
    held_out,
    needed_columns,
    refuse_tasks,
    user_column,
)
from crosstower.blending.measured_lists import blend_words, lists_of
from crosstower.blending.report_content import ordered_rows, page_content
from crosstower.blending.sentences import constraint_words, fallback_words, sentences, tuning_words
from crosstower.blending.tuning import Tuned, tune_blend
from crosstower.blending.utility import Utility
from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import RecipeError, RunError
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.blend_content import Distribution
from crosstower.evaluation.reports.blend_report import write_blend_report
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.evaluation.reports.notebook import distribution_figure, html_table
from crosstower.recipe.arguments import check_kinds, count_of
from crosstower.recipe.blend import Blend, Diversity, check_blend
from crosstower.storage.files import write_atomic, write_parquet
from crosstower.storage.folders import publish_changes
from crosstower.training.run import BLEND, BLENDED, Run
from crosstower.values.json_values import json_values


@dataclass(frozen=True)
class BlendResult:
    """A blend and its effect, from `blend_run`.

    >>> import crosstower as ct
    >>> result = ct.blend_run("runs/clicks", ct.Blend(weights={"click": 1}), user="user", k=3)
    >>> result
    BlendResult(click 1; 3 orders, 'runs/clicks/blend.html')
    >>> [order.name for order in result.orders]
    ['blend', 'click alone', 'shuffled']

    Args:
        blend: weights and transforms.
        comparison: specification of the comparison.
        orders: metrics per order of the test rows, that of the blend first.
        sentences: findings.
        notes: remarks about the rows.
        page: path of the HTML page.
        distributions: histograms per task and content type, before and after the transform.

    """

    blend: Blend
    comparison: ComparisonSpec
    orders: tuple[ModelMetrics, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    page: Path
    distributions: tuple[Distribution, ...] = ()

    def __repr__(self) -> str:
        """Return one line: weights and page."""
        weights = ", ".join(f"{task} {w:g}" for task, w in self.blend.weights.items())
        return f"BlendResult({weights}; {len(self.orders)} orders, '{self.page}')"

    def _repr_html_(self) -> str:
        """Return the metrics per order and the findings as a table, for notebooks."""
        names = list(dict.fromkeys(n for order in self.orders for n in order.metrics))
        rows = [
            [order.name, *(_cell(order.metrics.get(name)) for name in names)]
            for order in self.orders
        ]
        title = f"blend by {self.comparison.user}, first {self.comparison.k}"
        notes = (*self.sentences, *self.notes)
        return html_table(title, ["order", *names], rows, notes=notes, links=[self.page])

    def plot(self) -> Figure:
        """Return a figure: predictions per task and content type, before and after the blend.

        Returns:
            A matplotlib figure, which notebooks show.

        """
        return distribution_figure(self.distributions)

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "blend": self.blend.model_dump(mode="json", exclude_defaults=True),
            "user": self.comparison.user,
            "k": self.comparison.k,
            "orders": {o.name: _plain(o) for o in self.orders},
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }


def blend_run(
    run: Run | str | Path,
    blend: Blend | None = None,
    *,
    tune: Utility | None = None,
    utility: Utility | None = None,
    diversity: Diversity | None = None,
    user: str | None = None,
    k: int | None = None,
    data: Any = None,
    on_progress: OnProgress = no_progress,
) -> BlendResult:
    """Blend the main model of a run, for all of its seeds, and save the blend in the run.

    Transforms and tuned weights are fitted on the validation rows; metrics are of the test rows.
    From then on scoring (`Run.predict`, `crosstower predict`) returns the blended score.

    >>> import crosstower as ct
    >>> ct.blend_run("runs/clicks", ct.Blend(weights={"click": 1}), user="user", k=3)
    BlendResult(click 1; 3 orders, 'runs/clicks/blend.html')

    Args:
        run: a finished ranking run, or its folder.
        blend: weights and transforms; the recipe's if None and nothing is tuned.
        tune: find the best weights for this utility under its constraints.
        utility: measure by it without tuning.
        diversity: replaces that of the blend; that of the recipe's blend if None.
        user: column that defines one list per value; that of the utility or `evaluation.group` if
            None.
        k: length of the lists that are measured; that of the utility, or 10.
        data: the same rows again, if the run was trained on a data frame.
        on_progress: called at each stage.

    Returns:
        The blend, metrics of the orders compared, and findings as sentences.

    Raises:
        RecipeError: there is no blend, it does not fit the tasks, no blend keeps to the
            constraints, or an argument is wrong.
        DataError: a column is missing, or a prediction or amount is unusable.
        RunError: predictions are missing, or the rows have changed.

    """
    run = Run.of(run)
    check_ranks(run)
    check_kinds(
        blend=(blend, Blend),
        tune=(tune, Utility),
        utility=(utility, Utility),
        diversity=(diversity, Diversity),
    )
    if tune is not None and utility is not None:
        raise RecipeError("utility: tune already measures by its own utility; give only one")
    wanted = tune or utility
    places = (wanted.k if wanted else 10) if k is None else count_of("k", k, error=RecipeError)
    if wanted is not None and places != wanted.k:
        raise RecipeError(f"-k: {k} was given, but the utility has k: {wanted.k}; give only one")
    user = user_column(run, user, wanted)
    kinds = run.recipe.schema_.kinds()
    if tune is None:
        blend = _given(blend or run.recipe.blend)
        check_blend(blend, kinds)
    diversity = _diversity(run, blend, diversity)
    on_progress("reading predictions")
    columns = needed_columns(user, blend, wanted, diversity)
    refuse_tasks(columns, kinds)
    tuned, found = None, held_out(run, run.info.seeds, columns, data=data)
    rows = [held.by(user) for held in found]
    if tune is not None:
        tuned = tune_blend(tune, kinds, rows[0].valid, on_progress=on_progress)
        blend = tuned.blend
    blend = _given(blend).model_copy(update={"diversity": diversity})
    comparison = ComparisonSpec(run.recipe.schema_, user, places, wanted)
    return _finish(run, blend, comparison, rows, tuned=tuned, on_progress=on_progress)


def _diversity(run: Run, blend: Blend | None, given: Diversity | None) -> Diversity | None:
    """Return the diversity: the given one, the blend's, or that of the recipe's blend."""
    chosen = given or (blend.diversity if blend is not None else None)
    recipe = run.recipe.blend
    return chosen or (recipe.diversity if recipe is not None else None)


def _given(blend: Blend | None) -> Blend:
    if blend is None:
        raise RecipeError(
            "blend: no weights; give --weights like=1,comment=2, a blend section in the recipe, or"
            " --tune UTILITY.yaml"
        )
    return blend


def _finish(
    run: Run,
    blend: Blend,
    comparison: ComparisonSpec,
    rows: list[HeldOut],
    *,
    tuned: Tuned | None,
    on_progress: OnProgress,
) -> BlendResult:
    """Compare the orders of all seeds; save the fitted blends, the page and the metrics."""
    model, kinds = next(iter(run.info.models)), comparison.schema.kinds()
    on_progress("comparing orders")
    fitted = [fit_blend(blend, kinds, part.valid) for part in rows]
    compared = [compare(comparison, one, part) for one, part in zip(fitted, rows, strict=True)]
    measured, counts = compared[0]
    lists = lists_of(rows[0].test[comparison.user], comparison.k)
    words = sentences(comparison, measured, counts, lists)
    words += constraint_words(comparison, rows[0].test, measured)
    if len(rows) > 1:
        words.append(f"These findings are of the first of {len(rows)} seeds; tables are of all.")
    result = BlendResult(
        blend=blend,
        comparison=comparison,
        orders=tuple(_over_seeds([orders for orders, _ in compared])),
        sentences=(*words, *(tuning_words(tuned) if tuned is not None else [])),
        notes=tuple(_notes(fitted[0], rows[0])),
        page=run.folder / "blend.html",
    )
    for stale in (BLENDED, "funnel.json"):  # of the previous blend; written again at the end
        (run.folder / stale).unlink(missing_ok=True)
    for seed, one in zip(run.info.seeds, fitted, strict=True):
        one.save(run.model_folder(model, seed) / BLEND)
    on_progress("writing the page")
    content = page_content(
        f"{run.recipe.name}: blend",
        comparison,
        fitted[0],
        rows[0],
        measured,
        orders=result.orders,
        tuned=tuned,
        sentences=result.sentences,
        notes=result.notes,
    )
    result = replace(result, distributions=content.distributions)
    write_blend_report(result.page, content)
    in_order = ordered_rows(fitted[0], rows[0].test, measured[0], comparison.user)
    write_parquet(in_order, run.folder / "blended.parquet")
    text = json.dumps(result.plain(), indent=1, allow_nan=False)
    write_atomic(run.folder / BLENDED, text.encode())
    publish_changes(run.folder, error=RunError)
    return result


def _notes(fitted: FittedBlend, rows: HeldOut) -> list[str]:
    slips = blend_words(fitted.spec, [rows.valid, rows.test])
    return slips + fallback_words(fitted, fitted.unseen(rows.test))


def _over_seeds(seeds: list[list[Measured]]) -> list[ModelMetrics]:
    orders: list[ModelMetrics] = []
    for same in zip(*seeds, strict=True):
        first = same[0]
        values = [m.values | {f"share.{k}": v for k, v in m.shares.items()} for m in same]
        names = list(dict.fromkeys(name for value in values for name in value))
        summaries = {n: Summary.of([value.get(n, 0.0) for value in values]) for n in names}
        orders.append(ModelMetrics(first.name, first.role, summaries, first.intervals))
    return orders


def _cell(summary: Summary | None) -> str:
    return "–" if summary is None or not np.isfinite(summary.mean) else f"{summary.mean:.4g}"


def _plain(order: ModelMetrics) -> dict[str, Any]:
    return {
        name: {
            "mean": json_values(summary.mean),
            "sd": json_values(summary.sd),
            **({"interval": list(order.intervals[name])} if _finite(order.intervals, name) else {}),
        }
        for name, summary in order.metrics.items()
    }


def _finite(intervals: Mapping[str, tuple[float, float]], name: str) -> bool:
    return name in intervals and bool(np.isfinite(intervals[name]).all())
