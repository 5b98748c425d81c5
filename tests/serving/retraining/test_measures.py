"""Measures of two bundles, against metrics of their own predictions."""

import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from crosstower.errors import CrosstowerWarning
from crosstower.evaluation.metrics.paired import Statistic
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.measures import BundleMeasures, Measure, ranking_measures
from crosstower.serving.retraining.newest_rows import newest_rows


@pytest.fixture(scope="module")
def measures(bundle: Bundle, weak: Bundle, newest: pl.DataFrame) -> dict[str, Measure]:
    rows = newest_rows(newest, bundle, most=10_000, seed=0)
    found = ranking_measures(bundle, weak, rows, k=10)
    assert found.notes == []
    return {f"{m.name} {m.metric}": m for m in found.measures} | {
        f"{task} ratio": m for task, m in found.calibration.items()
    }


@pytest.fixture(scope="module")
def scored(bundle: Bundle, weak: Bundle, newest: pl.DataFrame) -> list[pl.DataFrame]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrosstowerWarning)  # of users that are new
        return [b.ranker.predict(newest) for b in (bundle, weak)]


def once(measure: Measure) -> np.ndarray:
    return measure.statistic(np.ones(10_000))


def test_tasks_are_measured_as_elsewhere(
    measures: dict[str, Measure], scored: list[pl.DataFrame], newest: pl.DataFrame
) -> None:
    for task in ("click", "booking"):
        y = newest[task].to_numpy()
        p = [frame[f"{task}__prediction"].to_numpy() for frame in scored]
        auc = [roc_auc_score(y, one) for one in p]
        np.testing.assert_allclose(once(measures[f"{task} auc"]), auc, rtol=1e-9)
        loss = [log_loss(y, one) for one in p]
        np.testing.assert_allclose(once(measures[f"{task} log_loss"]), loss, rtol=1e-9)
        ratio = [one.sum() / y.sum() for one in p]
        np.testing.assert_allclose(once(measures[f"{task} ratio"]), ratio, rtol=1e-9)


def test_lists_are_measured_by_the_order_that_is_served(
    measures: dict[str, Measure], scored: list[pl.DataFrame], newest: pl.DataFrame
) -> None:
    """Of the live bundle its blend, of the other, which has none, the first task."""
    names = ["blend__score", "click__prediction"]
    gain = (newest["click"] + newest["booking"]).cast(pl.Float64)
    for place, (frame, name) in enumerate(zip(scored, names, strict=True)):
        table = pl.DataFrame([newest["request_id"], gain.alias("gain"), frame[name].alias("s")])
        values = [
            ndcg_score([part["gain"]], [part["s"]], k=10)
            for _, part in table.group_by("request_id")
            if part.height > 1 and part["gain"].sum() > 0
        ]
        found = once(measures["lists ndcg@10"])[place]
        assert found == pytest.approx(np.mean(values), rel=1e-9)


def test_gains_point_to_the_better_bundle(measures: dict[str, Measure]) -> None:
    for name in ("click auc", "click log_loss"):
        measure = measures[name]
        live, candidate = once(measure)
        gain = float(measure.gain(np.array([live, candidate])))
        assert gain < 0  # the live bundle is the better one
        expected = candidate - live if "auc" in name else (live - candidate) / live
        assert gain == pytest.approx(expected)


def test_tasks_of_one_bundle_are_named(bundle: Bundle, newest: pl.DataFrame, weak: Bundle) -> None:
    rows = newest_rows(newest, bundle, most=10_000, seed=0)
    task = "click"
    recipe = weak.ranking.recipe
    schema = recipe.schema_.model_copy(update={"tasks": {task: recipe.schema_.tasks[task]}})
    one = weak.ranking.__class__.open(weak.ranking.folder)
    one.__dict__["recipe"] = recipe.model_copy(update={"schema_": schema})
    other = Bundle(weak.folder, weak.manifest)
    other.__dict__["ranking"] = one
    found = ranking_measures(bundle, other, rows, k=10)
    words = "task 'booking' is not compared: one bundle lacks it, or has another kind"
    assert found.notes == [words]
    assert {m.name for m in found.measures} == {"click", "lists"}


def test_a_live_bundle_that_cannot_read_the_rows_is_noted(
    bundle: Bundle, weak: Bundle, newest: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = newest_rows(newest, bundle, most=10_000, seed=0)
    recipe = bundle.ranking.recipe
    renamed = recipe.schema_.columns["budget"].model_copy(update={"source": "former_budget"})
    columns = {**recipe.schema_.columns, "budget": renamed}
    encoder = bundle.ranking.encoder
    old = Bundle(bundle.folder, bundle.manifest)
    ranker = old.ranker
    schema = encoder.schema.model_copy(update={"columns": columns})
    monkeypatch.setattr(type(ranker), "scorer", _renamed(type(ranker).scorer, ranker, schema))
    found = ranking_measures(old, weak, rows, k=10)
    assert found.measures == []
    assert found.notes[0].startswith("the live bundle cannot score these rows: ")
    assert "former_budget" in found.notes[0]


def _renamed(original: Any, ranker: Any, schema: Any) -> Any:
    from dataclasses import replace

    def scorer(self: Any, **more: Any) -> Any:
        found = original(self, **more)
        if self is not ranker:
            return found
        return replace(found, encoder=replace(found.encoder, schema=schema))

    return scorer


def test_a_bundle_that_only_retrieves_has_nothing_to_rank(
    bundle: Bundle, newest: pl.DataFrame
) -> None:
    alone = Bundle(bundle.folder, bundle.manifest.model_copy(update={"ranking": None}))
    rows = newest_rows(newest, bundle, most=10_000, seed=0)
    assert ranking_measures(alone, bundle, rows, k=10) == BundleMeasures()


def test_a_relative_gain_of_nothing_is_zero() -> None:
    def nothing(draws: np.ndarray) -> np.ndarray:
        return draws[:2]

    statistic: Statistic = nothing
    measure = Measure("watch", "rmse", statistic, 2, higher=False, relative=True)
    assert measure.gain(np.array([[0.0, 0.0], [2.0, 1.0]])).tolist() == [0.0, 0.5]
