import math

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from crosstower.errors import DataError
from crosstower.evaluation.metrics.binary import normalised_entropy
from crosstower.evaluation.metrics.calibration import expected_calibration_error, reliability_curve
from crosstower.evaluation.reports.calibration_content import calibration_effect


def rows(n: int = 3000):
    """Rows with likes and types, raw predictions that are too high, and true probabilities."""
    random = np.random.default_rng(0)
    truth = random.beta(1, 6, n)
    kinds = random.choice(["video", "photo", None], n, p=[0.3, 0.2, 0.5])
    frame = pl.DataFrame(
        {
            "like": (random.random(n) < truth).astype(np.int8),
            "content_type": pl.Series(kinds.tolist(), dtype=pl.String),
        }
    )
    return frame, np.sqrt(truth), truth


def assert_same_curve(curve, expected):
    np.testing.assert_array_equal(curve.prediction, expected.prediction)
    np.testing.assert_array_equal(curve.observed, expected.observed)
    np.testing.assert_array_equal(curve.count, expected.count)


def test_a_binary_task_has_curves_and_metrics_before_and_after():
    frame, raw, truth = rows()
    y = frame["like"].to_numpy().astype(float)
    effect = calibration_effect("like", "binary", frame, raw, truth)
    assert (effect.task, effect.kind, effect.by_type) == ("like", "binary", None)
    assert_same_curve(effect.before, reliability_curve(y, raw))
    assert_same_curve(effect.after, reliability_curve(y, truth))
    assert list(effect.metrics) == ["ece", "normalised_entropy", "log_loss"]
    expected = {
        "ece": expected_calibration_error,
        "normalised_entropy": normalised_entropy,
        "log_loss": sk.log_loss,
    }
    for name, metric in expected.items():
        assert effect.metrics[name] == pytest.approx((metric(y, raw), metric(y, truth)))
        assert effect.metrics[name][1] < effect.metrics[name][0]


def test_a_number_task_has_errors_before_and_after():
    random = np.random.default_rng(0)
    y, kind = random.normal(size=400), random.choice(["a", "b"], 400)
    frame = pl.DataFrame({"watch_time": y, "content_type": kind})
    raw, calibrated = y + 1, y + random.normal(0, 0.1, 400)
    effect = calibration_effect(
        "watch_time", "regression", frame, raw, calibrated, by="content_type"
    )
    assert list(effect.metrics) == ["rmse", "mae"]
    rmse, mae = sk.root_mean_squared_error, sk.mean_absolute_error
    assert effect.metrics["rmse"] == pytest.approx((1.0, rmse(y, calibrated)))
    assert effect.metrics["mae"] == pytest.approx((1.0, mae(y, calibrated)))
    table = effect.by_type
    assert table.columns == ["type", "rows", "rmse_before", "rmse_after"]
    for name, count, before, after in table.iter_rows():
        assert count == np.sum(kind == name)
        assert before == pytest.approx(1.0)
        assert after == pytest.approx(rmse(y[kind == name], calibrated[kind == name]))


def test_types_come_by_their_rows_and_rows_without_one_last():
    frame, raw, truth = rows()
    table = calibration_effect("like", "binary", frame, raw, truth, by="content_type").by_type
    assert table.columns == ["type", "rows", "ece_before", "ece_after"]
    assert table["type"].to_list() == ["video", "photo", None]
    assert table["rows"].sum() == frame.height
    y = frame["like"].to_numpy().astype(float)
    for name, count, before, after in table.iter_rows():
        chosen = np.array([kind == name for kind in frame["content_type"]])
        assert count == chosen.sum()
        assert before == pytest.approx(expected_calibration_error(y[chosen], raw[chosen]))
        assert after == pytest.approx(expected_calibration_error(y[chosen], truth[chosen]))


def test_rows_without_a_label_do_not_count():
    frame, raw, truth = rows()
    known = frame["content_type"].fill_null("none") != "photo"
    hidden = frame.with_columns(like=pl.when(known).then(pl.col("like").cast(pl.Float64)))
    effect = calibration_effect("like", "binary", hidden, raw, truth, by="content_type")
    k = known.to_numpy()
    other = calibration_effect(
        "like", "binary", frame.filter(known), raw[k], truth[k], by="content_type"
    )
    assert effect.metrics == other.metrics
    assert effect.by_type.equals(other.by_type)
    assert effect.by_type["type"].to_list() == ["video", None]
    assert_same_curve(effect.after, other.after)


def test_without_labelled_rows_nothing_is_defined():
    frame, raw, truth = rows(20)
    frame = frame.with_columns(like=pl.lit(None, pl.Float64))
    effect = calibration_effect("like", "binary", frame, raw, truth, by="content_type")
    assert len(effect.before.count) == len(effect.after.count) == effect.by_type.height == 0
    assert all(math.isnan(v) for pair in effect.metrics.values() for v in pair)


def test_wrong_rows_are_named():
    frame, raw, truth = rows(50)
    with pytest.raises(DataError, match="no column 'likes'; did you mean 'like'"):
        calibration_effect("likes", "binary", frame, raw, truth)
    with pytest.raises(DataError, match="no column 'kind'"):
        calibration_effect("like", "binary", frame, raw, truth, by="kind")
    with pytest.raises(DataError, match="got 50 labels, 49 predictions"):
        calibration_effect("like", "binary", frame, raw, truth[1:])
    with pytest.raises(DataError, match="expected a probability"):
        calibration_effect("like", "binary", frame, raw + 1, truth)
