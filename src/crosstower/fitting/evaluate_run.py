"""Evaluate a finished run on rows that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crosstower.errors import RunError
from crosstower.ranking import results as ranked
from crosstower.recipe.arguments import place_argument
from crosstower.retrieval import results as retrieved
from crosstower.retrieval.evaluate import evaluate_retrieval_on
from crosstower.training.run import Run


def evaluate_run(
    run: Run | str | Path, data: Any, *, report: str | Path | None = None
) -> dict[str, Any]:
    """Return the metrics of a run's models, all seeds of them, on other labelled rows.

    A ranker's rows are scored as they are. A retriever's positives are queries: histories are those
    of the run's rows, and baselines are fitted on the same rows.

    >>> import crosstower as ct
    >>> found = ct.evaluate_run("runs/clicks", "july.parquet")
    >>> found["tasks"]["click"]["wide_deep"]["auc"]
    {'mean': 0..., 'sd': None}

    Args:
        run: finished, or its folder.
        data: a path, or a polars, pandas or Arrow table, with labels.
        report: page to write (default: `report-NAME.html` in the run folder).

    Returns:
        As `Run.metrics`: {"tasks": {task: {model: {metric: {"mean", "sd"}}}}, "verdicts": {task:
        sentences}}; of a retriever {"retrieval": {model: {...}}, "verdicts": {"retrieval":
        sentences}}.

    Raises:
        DataError: a column is missing, a cell is bad, or no row is a positive of the retriever.
        RunError: the training has not finished.

    """
    opened = Run.of(run)
    page = report
    if page is not None:
        page = place_argument("report", page, error=RunError, expected="the page to write")
    if opened.recipe.retrieval is not None:
        found, _ = evaluate_retrieval_on(opened, data, page)
        return {
            "retrieval": retrieved.metrics_of(found),
            "verdicts": {"retrieval": list(found.verdicts)},
        }
    reports, _ = ranked.evaluate_on(opened, data, page)
    verdicts = {one.name: list(one.verdicts) for one in reports}
    return {"tasks": ranked.metrics_of(reports), "verdicts": verdicts}
